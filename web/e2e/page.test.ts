// The watch page as its viewer meets it: controls, keys, resume, a phone.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import {
  account, beginAtStart, closeBrowser, demo, firstTitle, openAs, signInAndOpen, watchPath,
  withPage,
} from "./demo";
import { playFor } from "./picture";

after(closeBrowser);

/** Opens the first title and lets it play for a moment. */
async function watch(page: Page): Promise<void> {
  await openAs(page, account("entitled"), watchPath(firstTitle()));
  await beginAtStart(page);
  await playFor(page, 0.5);
}

/** What the video element says now. */
function video(page: Page) {
  return page.evaluate(() => {
    const element = document.querySelector("video");
    if (element === null) throw new Error("no video element");
    const { currentTime, duration, paused, muted, volume } = element;
    return { currentTime, duration, paused, muted, volume };
  });
}

test("the catalog shows the titles and leads to them", async () => {
  await withPage(async (page) => {
    await openAs(page, account("entitled"), "/");
    const links = page.getByRole("main").getByRole("link");
    await links.first().waitFor();
    const shown = await links.evaluateAll((all) => all.map((link) => link.getAttribute("href")));
    for (const title of demo.titles) assert.ok(shown.includes(watchPath(title)), shown.join());
    await page.locator(`a[href="/watch/${firstTitle().content_id}"]`).click();
    await page.waitForURL(demo.url + watchPath(firstTitle()));
  });
});

test("signing out closes the catalog", async () => {
  await withPage(async (page) => {
    await signInAndOpen(page, account("entitled"), "/");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/sign-in/);
    await page.goto(`${demo.url}/`);
    await page.waitForURL(/\/sign-in/);
  });
});

test("the keyboard plays, moves, mutes and fills the screen", async () => {
  await withPage(async (page) => {
    await watch(page);
    await page.keyboard.press("k");
    assert.equal((await video(page)).paused, true);
    await page.keyboard.press("Space");
    assert.equal((await video(page)).paused, false);
    await page.keyboard.press("k");
    const before = (await video(page)).currentTime;
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    assert.ok(Math.abs((await video(page)).currentTime - before - 10) < 0.1);
    await page.keyboard.press("ArrowLeft");
    assert.ok(Math.abs((await video(page)).currentTime - before - 5) < 0.1);
    await page.keyboard.press("m");
    assert.equal((await video(page)).muted, true);
    await page.keyboard.press("m");
    await page.keyboard.press("ArrowDown");
    const { muted, volume } = await video(page);
    assert.equal(muted, false);
    assert.ok(Math.abs(volume - 0.9) < 0.01);
    await page.keyboard.press("f");
    await page.waitForFunction(() => document.fullscreenElement?.id === "stage");
    await page.keyboard.press("f");
    await page.waitForFunction(() => document.fullscreenElement === null);
  });
});

/** Waits until another thumbnail than `seen` is shown; returns it. */
async function thumbnailOtherThan(page: Page, seen: string): Promise<string> {
  const shown = await page.waitForFunction((before) => {
    const canvas = document.querySelector("canvas");
    const now = canvas === null || canvas.hidden ? before : canvas.toDataURL();
    return now === before ? null : now;
  }, seen);
  return (await shown.jsonValue()) ?? "";
}

test("the bar shows the picture of the place that is looked for", async () => {
  await withPage(async (page) => {
    await watch(page);
    await page.keyboard.press("k");
    const bar = await page.getByLabel("Position").boundingBox();
    assert.ok(bar !== null);
    const pictures: string[] = [];
    for (const share of [0.1, 0.8]) {
      await page.mouse.move(bar.x + bar.width * share, bar.y + bar.height / 2);
      pictures.push(await thumbnailOtherThan(page, pictures[0] ?? ""));
      const { duration } = await video(page);
      const [minutes, seconds] = (await page.locator("#preview-time").innerText()).split(":");
      assert.ok(Math.abs(Number(minutes) * 60 + Number(seconds) - duration * share) < 2);
    }
    assert.notEqual(pictures[0], pictures[1]);
    await page.mouse.move(bar.x + bar.width / 2, bar.y - 200);
    await page.locator("#preview").waitFor({ state: "hidden" });
    // A key moves, shows where to, and the preview goes by itself.
    await page.keyboard.press("ArrowRight");
    await page.locator("#preview-picture").waitFor();
    await page.locator("#preview").waitFor({ state: "hidden" });
  });
});

test("every control is reached by Tab and has a name", async () => {
  await withPage(async (page) => {
    await watch(page);
    await page.keyboard.press("k");
    // The button takes its new name when the picture has stopped.
    await page.getByLabel("Play (k)", { exact: true }).waitFor();
    const names = [
      "Position", "Play (k)", "Mute (m)", "Volume", "Audio language", "Quality", "Full screen (f)",
    ];
    const reached: string[] = [];
    for (let i = 0; i < names.length + 3; i += 1) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? ""));
    }
    assert.deepEqual(reached.filter((name) => names.includes(name)), names);
  });
});

test("a chosen quality and language play on", async () => {
  await withPage(async (page) => {
    await watch(page);
    const quality = page.getByLabel("Quality");
    const heights = await quality.locator("option").evaluateAll((options) =>
      options.map((option) => (option as HTMLOptionElement).value).filter((value) => value !== "auto"),
    );
    assert.ok(heights.length >= 2, `an SD and an HD rendition: ${heights.join()}`);
    const lowest = heights[heights.length - 1] ?? "";
    await quality.selectOption(lowest);
    await page.waitForFunction(
      (height) => document.querySelector("video")?.videoHeight === Number(height),
      lowest,
    );
    const language = page.getByLabel("Audio language");
    const languages = await language.locator("option").evaluateAll((options) =>
      options.map((option) => (option as HTMLOptionElement).value),
    );
    assert.equal(languages.length, 2);
    const other = languages.find((value) => value !== languages[0]) ?? "";
    await language.selectOption(other);
    await playFor(page, 2);
    assert.equal(await language.inputValue(), other);
    assert.equal(await quality.inputValue(), lowest);
  });
});

test("seeking to where nothing is loaded plays on from there", async () => {
  await withPage(async (page) => {
    await watch(page);
    const { duration } = await video(page);
    const goal = Math.floor(duration * 0.7);
    await page.getByLabel("Position").fill(String(goal * 10));
    await playFor(page, 1);
    assert.ok((await video(page)).currentTime >= goal);
  });
});

test("the place where a viewer left is offered and taken", async () => {
  await withPage(async (page) => {
    await watch(page);
    await page.getByLabel("Position").fill("120");
    await playFor(page, 0.5);
    // Leaving the page is what tells the service.
    await page.goto(`${demo.url}/`);
    await page.goto(demo.url + watchPath(firstTitle()));
    const resume = page.getByRole("button", { name: /^Resume at 0:1[2-4]$/ });
    await resume.click();
    await playFor(page, 0.3);
    assert.ok((await video(page)).currentTime >= 12);
  });
});

test("heartbeats say when the viewer pauses, and a film seen to its end begins anew", async () => {
  await withPage(async (page) => {
    const states: string[] = [];
    page.on("request", (request) => {
      if (!request.url().endsWith("/heartbeat")) return;
      const body: unknown = JSON.parse(request.postData() ?? "{}");
      states.push((body as { state: string }).state);
    });
    await watch(page);
    await page.keyboard.press("k");
    await page.waitForTimeout(300);
    await page.keyboard.press("k");
    await page.waitForTimeout(300);
    assert.equal(states[0], "playing");
    assert.deepEqual(states.slice(-2), ["paused", "playing"]);
    const { duration } = await video(page);
    await page.getByLabel("Position").fill(String(Math.floor(duration * 10) - 5));
    await page.waitForFunction(() => document.querySelector("video")?.ended);
    await page.waitForTimeout(300);
    assert.equal(states.at(-1), "stopped");
    // Once more: a new slot, the same license.
    await page.keyboard.press("k");
    await playFor(page, 1);
    assert.equal(states.at(-1), "playing");
    assert.equal(await page.getByRole("alert").isVisible(), false);
  });
});

test("on a phone nothing is wider than the screen, and every control can be touched", async () => {
  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true };
  await withPage(async (page) => {
    const isTooWide = () => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    await page.goto(`${demo.url}/sign-in`);
    assert.equal(await isTooWide(), false, "sign-in");
    await openAs(page, account("entitled"), "/");
    await page.getByRole("main").getByRole("link").first().waitFor();
    assert.equal(await isTooWide(), false, "catalog");
    await page.goto(demo.url + watchPath(firstTitle()));
    await beginAtStart(page);
    await playFor(page, 0.5);
    await page.getByRole("region", { name: "License" }).waitFor();
    assert.equal(await isTooWide(), false, "watch page");
    for (const name of ["Pause", "Mute", "Full screen"]) {
      const box = await page.getByRole("button", { name }).boundingBox();
      assert.ok(box !== null && box.width >= 44 && box.height >= 44, `${name} is too small`);
    }
    await page.getByRole("button", { name: "Pause" }).tap();
    assert.equal((await video(page)).paused, true);
  }, phone);
});
