// Downloads: not offered where the browser keeps no licenses; else fetched, played without network,
// and given back. The module that keeps licenses is a stand-in: see `keeping-module.ts`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import {
  account, beginAtStart, closeBrowser, demo, firstTitle, openAs, PATIENCE_MS, watchPath, withPage,
} from "./demo";
import { named } from "./extra-titles";
import { standIn, type Heard } from "./keeping-module";
import { assertMatches, noteFrames, playFor } from "./picture";

after(closeBrowser);

/** The part of the watch page. */
const part = (page: Page) => page.getByRole("region", { name: "Download" });
const start = (page: Page) => part(page).getByRole("button", { name: "Download", exact: true });

async function watch(page: Page): Promise<void> {
  await openAs(page, account("entitled"), watchPath(firstTitle()));
  await beginAtStart(page);
  await playFor(page, 0.5);
}

/** Names of what the browser keeps. */
const caches = (page: Page) => page.evaluate(() => window.caches.keys());

/** Downloads the first title in its smallest size. */
async function download(page: Page): Promise<void> {
  await watch(page);
  await part(page).getByLabel("Size of the download").selectOption("small");
  await start(page).click();
  await part(page).getByText(/^Downloaded \(360p, [0-9.]+ MB\)\. Plays until /).waitFor();
}

test("a browser that keeps no licenses is offered no download", async () => {
  await withPage(async (page) => {
    await watch(page);
    // The service would answer: it is the browser that cannot.
    const dialects = await page.evaluate(async (id) => {
      const answer = await fetch(`/api/v1/playback/token/${id}`);
      const ticket = (await answer.json()) as { session_id: string; license: object };
      await fetch(`/api/v1/playback/${ticket.session_id}`, { method: "DELETE" });
      return Object.keys(ticket.license);
    }, firstTitle().content_id);
    assert.ok(dialects.includes("widevine"), dialects.join());
    await page.waitForTimeout(500);
    assert.equal(await page.locator("#download").isVisible(), false);
    assert.deepEqual(await page.evaluate(() => navigator.serviceWorker.getRegistrations()), []);
  });
});

test("a download plays without network after a reload, and is given back", async (t) => {
  await withPage(async (page) => {
    const heard = await standIn(page);
    await download(page);
    assert.equal(heard.requests, 2, "one license for the picture, one for the sound");
    assert.equal(await start(page).isVisible(), false);
    await assertCiphertext(page);

    await page.goto(`${demo.url}/`);
    const list = page.getByRole("region", { name: "Downloads" });
    await list.getByText(/^Downloaded \(360p, .* Plays until /).waitFor();

    heard.isAway = true;
    await page.context().setOffline(true);
    const asked: string[] = [];
    page.on("request", (request) => asked.push(new URL(request.url()).pathname));
    // The same answer twice: it was not given anew.
    const answers = [await page.reload(), await page.reload()];
    const ids = answers.map((answer) => answer?.headers()["x-correlation-id"]);
    assert.ok(ids[0] !== undefined && ids[0] === ids[1], "the page came from the service");
    assert.match(answers[0]?.headers()["content-security-policy"] ?? "", /default-src 'none'/);
    await page.getByText("There is no connection. What is downloaded plays.").waitFor();
    await list.getByRole("link", { name: /^Play the download of / }).click();
    await page.waitForURL(/\?kept$/);
    for (const time of ["after the link", "after a reload"]) {
      await playFor(page, 0.5);
      await noteFrames(page);
      const found = await assertMatches(page, firstTitle().source, 2);
      t.diagnostic(`${time}: ${found.map((one) => one.toFixed(1)).join(", ")}`);
      if (time === "after the link") await page.reload();
    }
    // Without the parameter it plays too: there is no other way.
    await page.goto(demo.url + watchPath(firstTitle()));
    await playFor(page, 0.5);
    const licenses = asked.filter((path) => /^\/(license|v)\//.test(path));
    assert.deepEqual(licenses, [], "neither license nor media is asked for");

    await giveBack(page, heard);
  });
});

/** Deletes without network, then with: the service hears of it, and nothing is left. */
async function giveBack(page: Page, heard: Heard): Promise<void> {
  const list = page.getByRole("region", { name: "Downloads" });
  await page.goto(`${demo.url}/`);
  await list.getByRole("button", { name: /^Delete the download of / }).click();
  await page.getByRole("alert").getByText("The service cannot be reached").waitFor();
  await list.getByText("Deleted here. The service is told as soon as").waitFor();
  assert.equal(await list.getByRole("link").count(), 0, "it does not play any more");
  assert.equal(await page.evaluate(keptFiles), 1, "the record alone is left");
  assert.deepEqual(heard.released, []);

  heard.isAway = false;
  await page.context().setOffline(false);
  const told = page.waitForRequest((request) => request.method() === "DELETE");
  await page.reload();
  assert.equal(new URL((await told).url()).pathname, `/api/v1/offline/${firstTitle().content_id}`);
  await list.waitFor({ state: "hidden" });
  assert.equal(heard.released.length, 2);
  await page.waitForFunction(async () => (await window.caches.keys()).length === 0);
  assert.deepEqual(await page.evaluate(() => navigator.serviceWorker.getRegistrations()), []);
}

test("a download that was stopped goes on where it was, and can be deleted", async () => {
  await withPage(async (page) => {
    const heard = await standIn(page);
    await watch(page);
    let pieces = 0;
    const isPiece = /\/cbcs\/.*\.m4s$/;
    await page.route(isPiece, async (route) => {
      if (route.request().headers()["range"] === undefined) return route.continue();
      pieces += 1;
      if (pieces > 3) await new Promise((pass) => setTimeout(pass, 400));
      await route.continue().catch(() => undefined);
    });
    await part(page).getByLabel("Size of the download").selectOption("small");
    await start(page).click();
    const shown = part(page).getByRole("progressbar");
    await page.waitForFunction(() => (document.querySelector("progress")?.value ?? 0) > 0);
    assert.ok(await shown.isVisible());
    await part(page).getByRole("button", { name: "Stop" }).click();
    await part(page).getByText("Not complete (360p").waitFor();
    const before = await page.evaluate(keptFiles);
    assert.ok(before > 1, String(before));
    await page.unroute(isPiece);
    await page.reload();
    await beginAtStart(page);
    const fetched: string[] = [];
    page.on("request", (request) => {
      if (request.headers()["range"] !== undefined && isPiece.test(request.url())) fetched.push(request.url());
    });
    await part(page).getByRole("button", { name: "Go on" }).click();
    await part(page).getByText(/^Downloaded \(360p/).waitFor();
    assert.equal(heard.requests, 2, "no other license was asked for");
    assert.ok((await page.evaluate(keptFiles)) > before && fetched.length > 0);
    await part(page).getByRole("button", { name: "Delete the download" }).click();
    await start(page).waitFor();
    assert.deepEqual([await caches(page), heard.released.length], [[], 2]);
  });
});

test("a download whose term is over says so and does not play", async () => {
  await withPage(async (page) => {
    await standIn(page);
    await download(page);
    await page.clock.setSystemTime(Date.now() + 400 * 24 * 3600 * 1000);
    await page.goto(`${demo.url}${watchPath(firstTitle())}?kept`);
    const message = page.getByRole("alert").filter({ visible: true });
    await message.getByText(/^Its term ended on .* download it again, or delete it\.$/).waitFor();
    assert.match(await message.locator(".reference").innerText(), /^download_over$/);
    // The clock is the page's alone: the service goes on, and lets the title be downloaded anew.
    await page.goto(demo.url + watchPath(firstTitle()));
    await beginAtStart(page);
    await start(page).waitFor();
  });
});

test("what the service refuses to have kept is told in its words, and leaves nothing", async (t) => {
  await withPage(async (page) => {
    await standIn(page, true);
    await watch(page);
    await start(page).click();
    const message = part(page).getByRole("alert");
    const words = await message.locator(".sentence").innerText({ timeout: PATIENCE_MS });
    t.diagnostic(words);
    assert.equal(words, "This player cannot keep titles on a device.");
    assert.match(await message.locator(".reference").innerText(), /^offline_not_allowed · \S+/);
    await start(page).waitFor();
    assert.deepEqual(await caches(page), []);
  });
});

test("where there is no room nothing is asked for", async () => {
  await withPage(async (page) => {
    const heard = await standIn(page);
    await page.addInitScript(() => {
      navigator.storage.estimate = async () => ({ quota: 20_000_000, usage: 19_000_000 });
    });
    await watch(page);
    await start(page).click();
    const words = part(page).getByRole("alert").getByText("There is not enough room on this device.");
    await words.waitFor();
    assert.equal(heard.requests, 0);
  });
});

/** How many files lie in all downloads. */
async function keptFiles(): Promise<number> {
  let count = 0;
  for (const name of await window.caches.keys()) {
    if (name.startsWith("download ")) count += (await (await window.caches.open(name)).keys()).length;
  }
  return count;
}

/** What is stored is what the package holds, byte for byte: ciphertext. */
async function assertCiphertext(page: Page): Promise<void> {
  const id = firstTitle().content_id;
  const path = "cbcs/video-360p/1.m4s";
  const stored = await page.evaluate(
    async ({ id, path }) => {
      const found = await window.caches.match(`/downloads/${id}/${path}?piece=0`);
      return Array.from(new Uint8Array((await found?.arrayBuffer()) ?? new ArrayBuffer(0)));
    },
    { id, path },
  );
  const packaged = readFileSync(join(named("STRONGROOM_DATA"), "media", id, "current", path));
  assert.ok(Buffer.from(stored).equals(packaged));
}
