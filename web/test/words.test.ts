import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseScheme } from "../src/player/capability";
import { commandFor } from "../src/player/keyboard";
import { classesText, expiryText, levelText, licenseState } from "../src/player/license-state";
import { returnPath, signInPath } from "../src/service/return-path";
import { clockTime, roughDuration } from "../src/time";

test("positions read as a clock", () => {
  const cases: [number, string][] = [
    [0, "0:00"], [5.9, "0:05"], [65, "1:05"], [3599, "59:59"], [3600, "1:00:00"], [3723, "1:02:03"],
    [-1, "0:00"], [Number.NaN, "0:00"], [Number.POSITIVE_INFINITY, "0:00"],
  ];
  for (const [seconds, text] of cases) assert.equal(clockTime(seconds), text);
});

test("durations read in their two largest units", () => {
  const cases: [number, string][] = [
    [0, "0 s"], [59, "59 s"], [60, "1 min"], [3_600, "1 h"], [3_900, "1 h 5 min"],
    [86_400, "1 d"], [90_000, "1 d 1 h"], [-5, "0 s"],
  ];
  for (const [seconds, text] of cases) assert.equal(roughDuration(seconds), text);
});

test("the license panel reads the answer's headers", () => {
  const headers: Record<string, string> = {
    "X-Strongroom-Security-Level": "L3",
    "X-Strongroom-Track-Classes": "AUDIO, SD",
    "X-Strongroom-License-Expires": "86400000",
  };
  const state = licenseState((name) => headers[name] ?? null);
  assert.ok(state !== null);
  assert.equal(levelText(state), "L3 · decrypted in software");
  assert.equal(classesText(state), "Audio, SD");
  assert.equal(expiryText(state, 0), "In 1 d");
  assert.equal(expiryText(state, 86_400_000), "Ended");
});

test("an answer without the headers shows no panel, odd values do no harm", () => {
  assert.equal(licenseState(() => null), null);
  const state = licenseState((name) => (name.endsWith("Expires") ? "soon" : ""));
  assert.ok(state !== null);
  assert.equal(classesText(state), "None");
  assert.equal(expiryText(state, 0), "No end");
});

test("sign-in leads back to a page of this site only", () => {
  const back = (next: string) => returnPath(`?next=${encodeURIComponent(next)}`);
  assert.equal(back("/watch/a?scheme=cenc"), "/watch/a?scheme=cenc");
  assert.equal(returnPath(signInPath("/watch/x").slice("/sign-in".length)), "/watch/x");
  const bad = [
    "//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "",
    "/\t/evil.example", "\\\\evil.example", "/\n/evil.example", "watch/a", "/../..//evil.example",
    "/\r/evil.example", "/\0/evil.example", "\t//evil.example", " //evil.example", "///evil.example",
    "////evil.example//", "/%2e%2e//evil.example", "/.//evil.example", "/./\\evil.example", "data:text/html,x",
    "https:evil.example", "https:/evil.example", "http:\\\\evil.example", "//evil.example@site.invalid/",
    "//site.invalid@evil.example/", "//[::1]/", "JaVaScRiPt:alert(1)", "?next=//evil.example", "#//evil.example",
  ];
  for (const next of bad) {
    const path = back(next);
    assert.ok(path.startsWith("/") && !path.startsWith("//"), `${next} -> ${path}`);
    assert.ok(!path.startsWith("/\\"), next);
    assert.equal(new URL(path, "https://tv.example").origin, "https://tv.example", next);
  }
  assert.equal(returnPath(""), "/");
  assert.equal(returnPath("?next=/watch/a&next=//evil.example"), "/watch/a");
  assert.equal(returnPath("?next=//evil.example&next=/watch/a"), "/");
});

test("keys command the player, unless the focused control wants them", () => {
  assert.equal(commandFor(" ", "page"), "toggle");
  assert.equal(commandFor("k", "page"), "toggle");
  assert.equal(commandFor("K", "button"), "toggle");
  assert.equal(commandFor(" ", "button"), null);
  assert.equal(commandFor("ArrowLeft", "page"), "back");
  assert.equal(commandFor("ArrowLeft", "slider"), null);
  assert.equal(commandFor(" ", "slider"), "toggle");
  assert.equal(commandFor("m", "slider"), "mute");
  assert.equal(commandFor("f", "page"), "full-screen");
  assert.equal(commandFor("ArrowUp", "menu"), null);
  assert.equal(commandFor("f", "menu"), null);
  assert.equal(commandFor("x", "page"), null);
});

test("the wished scheme is taken if it plays here", () => {
  assert.equal(chooseScheme(null, ["cbcs", "cenc"]), null);
  assert.equal(chooseScheme(null, ["cenc"]), "cenc");
  assert.equal(chooseScheme("cenc", ["cbcs", "cenc"]), "cenc");
  assert.throws(() => chooseScheme("cbcs", ["cenc"]), { code: "scheme_not_playable" });
  assert.throws(() => chooseScheme("constructor", ["cbcs", "cenc"]), { code: "scheme_not_playable" });
});
