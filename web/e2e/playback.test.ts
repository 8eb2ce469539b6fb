// The main job in a real browser: sign in through the page, watch an encrypted picture.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import {
  account, beginAtStart, closeBrowser, firstTitle, openAs, signInAndOpen, watchPath, withPage,
} from "./demo";
import { logEme, readEmeLog } from "./eme-log";
import { assertMatches, noteFrames, playFor } from "./picture";

after(closeBrowser);

for (const scheme of ["cbcs", "cenc"] as const) {
  test(`an entitled account plays the ${scheme} set, and the picture is the clip's`, async (t) => {
    await withPage(async (page) => {
      const title = firstTitle();
      await signInAndOpen(page, account("entitled"), watchPath(title, scheme));
      await beginAtStart(page);
      await noteFrames(page);
      await playFor(page, 5);
      const found = await assertMatches(page, title.source);
      t.diagnostic(`differences: ${found.map((is) => is.toFixed(1)).join(", ")} grey levels`);
      await assertPanelShowsTheLicense(page);
    });
  });
}

test("the calls to the decryption module come in the order of the standard", async (t) => {
  await withPage(async (page) => {
    await logEme(page);
    await openAs(page, account("entitled"), watchPath(firstTitle()));
    await beginAtStart(page);
    await playFor(page, 1);
    const log = await readEmeLog(page);
    t.diagnostic(log.join(" → "));
    // The manifest says that the title is protected, so `encrypted` comes late and changes
    // nothing; where `setMediaKeys` falls is the player's choice.
    const order = [
      ...["requestMediaKeySystemAccess", "createMediaKeys", "createSession", "generateRequest"],
      ...["message", "license request", "update", "usable"],
    ];
    assert.ok(log.includes("setMediaKeys"));
    const places = order.map((name) => log.indexOf(name));
    assert.ok(places.every((place) => place >= 0), `missing: ${log.join(", ")}`);
    assert.deepEqual(places, [...places].sort((a, b) => a - b), log.join(" → "));
    // With one request for all keys, each key is asked for once.
    assert.equal(log.filter((name) => name === "license request").length, 1);
  });
});

async function assertPanelShowsTheLicense(page: Page): Promise<void> {
  const panel = page.getByRole("region", { name: "License" });
  const text = await panel.innerText();
  assert.match(text, /L3/);
  assert.match(text, /Audio, SD/);
  assert.match(text, /In \d+ (s|min|h|d)/);
}
