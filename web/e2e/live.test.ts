// A live event whose keys change, at its edge, in players that are not ours and in our page. The
// packager is killed in the middle and started anew.
//
// `STRONGROOM_LONG` watches for three minutes; else for as long as three batches of keys take.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { after, test, type TestContext } from "node:test";
import type { Page } from "playwright-core";
import { account, closeBrowser, openAs, withPage } from "./demo";
import { removeClips } from "./extra-titles";
import { LiveEvent, ROTATION } from "./live-event";
import { begin, openPlayer, type Trouble } from "./player-page";

const WATCH_S = process.env["STRONGROOM_LONG"] === undefined ? 70 : 180;
/** How much of the event a stop of the packager may cost a viewer, seconds. */
const KILL_COSTS_S = 12;
/** The packager is back within this, seconds. */
const RESUMED_S = 5;
/** Players stay so far behind the edge, seconds. */
const DELAY_S = 6;
/** A picture that stands still for less is no stall, seconds. */
const STALL_S = 0.75;

after(removeClips);
after(closeBrowser);

/** What a page's player did. */
interface Watch {
  readonly trouble: Trouble;
  readonly licenses: number[];
}

/** A player, and how it is opened on a page with an event. */
interface Player {
  readonly name: string;
  readonly open: (page: Page, contentId: string) => Promise<Watch>;
}

/** One look at the player. */
interface Look {
  readonly atS: number;
  readonly positionS: number;
}

test("Shaka Player, rx-player and the page play a live event while its keys change", (t) =>
  watchThrough(t, [
    { name: "Shaka Player", open: (page, id) => open(page, "shaka", id) },
    { name: "rx-player", open: (page, id) => open(page, "rx", id) },
    { name: "the page", open: openOwn },
  ]));

test("hls.js plays a live event while its keys change", (t) =>
  watchThrough(t, [{ name: "hls.js", open: (page, id) => open(page, "hlsjs", id) }]));

/** Watches an event with some players at once, and kills its packager in the middle. */
async function watchThrough(t: TestContext, players: readonly Player[]): Promise<void> {
  // An event that has ended cannot begin again.
  const event = new LiveEvent(`live-${Date.now().toString(36)}`);
  await event.begin();
  const watches: Watch[] = [];
  await withPages(players.length, async (pages) => {
    for (const [at, { open }] of players.entries()) {
      watches.push(await open(pages[at] as Page, event.contentId));
    }
    await Promise.all(pages.map(isMoving));
    const beginsS = Date.now() / 1000;
    await Promise.all(pages.map(lookOn));

    await sleep((0.3 + 0.2 * Math.random()) * WATCH_S);
    const killedS = Date.now() / 1000;
    await event.kill();
    const before = writtenAt(event);
    await event.begin();
    while (writtenAt(event) === before && Date.now() / 1000 < killedS + 4 * RESUMED_S) {
      await sleep(0.1);
    }
    const back = Date.now() / 1000 - killedS;
    t.diagnostic(`killed, and segments again after ${back.toFixed(1)} s`);
    assert.ok(back <= RESUMED_S, `the packager was back after ${back.toFixed(1)} s`);

    await sleep(beginsS + WATCH_S - Date.now() / 1000);
    const lastedS = Date.now() / 1000 - beginsS;
    const seen = await Promise.all(pages.map(read));
    const stalls = seen.map((looks) =>
      stallsOf(looks).filter(
        ({ fromS, untilS }) => untilS < killedS || fromS > killedS + KILL_COSTS_S,
      ),
    );
    for (const [at, { licenses }] of watches.entries()) {
      const [name, stood] = [players[at]?.name, JSON.stringify(stalls[at])];
      t.diagnostic(`${name}: ${licenses.length} license requests, stalls ${stood}`);
    }
    for (const [at, { trouble, licenses }] of watches.entries()) {
      const [name, looks] = [players[at]?.name ?? "", seen[at] ?? []];
      assert.deepEqual(trouble.refused, [], name);
      assert.deepEqual(stalls[at], [], `${name}: ${trouble.said.join("\n")}`);
      const movedS = (looks.at(-1)?.positionS ?? 0) - (looks[0]?.positionS ?? 0);
      assert.ok(movedS > lastedS - KILL_COSTS_S, `${name} moved ${movedS} s of ${lastedS}`);
      // What was played lies between the edge's delay before the first request, and the end.
      const firstS = (licenses[0] ?? 0) - DELAY_S;
      const batches = batchAt(event, Date.now() / 1000) - batchAt(event, firstS) + 1;
      // Once for each batch, and before that for the keys that inits name.
      const most = batches + 1;
      assert.ok(licenses.length <= most, `${name}: ${licenses.length} of ${most}`);
    }
  });
  await event.end();
}

/** So many pages at once. */
async function withPages(count: number, use: (pages: Page[]) => Promise<void>): Promise<void> {
  const one = (pages: Page[]): Promise<void> =>
    pages.length === count ? use(pages) : withPage((page) => one([...pages, page]));
  await one([]);
}

async function open(page: Page, file: string, contentId: string): Promise<Watch> {
  const licenses = countLicenses(page);
  const trouble = await openPlayer(page, file);
  await begin(page, contentId, "cbcs");
  return { trouble, licenses };
}

/** The service's own page, whose first answer is by the license URL's token. */
async function openOwn(page: Page, contentId: string): Promise<Watch> {
  const licenses = countLicenses(page);
  const trouble: Trouble = { refused: [], said: [] };
  page.on("console", (message) => message.type() === "error" && trouble.said.push(message.text()));
  await openAs(page, account("entitled"), `/watch/${contentId}`);
  return { trouble, licenses };
}

/** When license requests were sent, as they are. */
function countLicenses(page: Page): number[] {
  const sent: number[] = [];
  page.on("request", (request) => {
    if (request.url().includes("/license/clearkey") && request.method() === "POST") {
      sent.push(Date.now() / 1000);
    }
  });
  return sent;
}

async function isMoving(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const video = document.querySelector("video");
    return video !== null && !video.paused && video.readyState >= 3 && video.currentTime > 1;
  });
}

/** Looks at the player four times a second from now on. */
async function lookOn(page: Page): Promise<void> {
  await page.evaluate(() => {
    const video = document.querySelector("video");
    const looks: Look[] = [];
    Object.assign(window, { looks });
    const look = () =>
      looks.push({ atS: Date.now() / 1000, positionS: video?.currentTime ?? Number.NaN });
    look();
    setInterval(look, 250);
  });
}

function read(page: Page): Promise<Look[]> {
  return page.evaluate(() => (window as unknown as { looks: Look[] }).looks);
}

/** The times in which the picture stood still. */
function stallsOf(looks: readonly Look[]): { fromS: number; untilS: number }[] {
  const stalls: { fromS: number; untilS: number }[] = [];
  let moved = looks[0];
  for (const look of looks) {
    if (moved === undefined || look.positionS > moved.positionS + 0.01) {
      if (moved !== undefined && look.atS - moved.atS > STALL_S) {
        stalls.push({ fromS: moved.atS, untilS: look.atS });
      }
      moved = look;
    }
  }
  const last = looks.at(-1);
  if (moved !== undefined && last !== undefined && last.atS - moved.atS > STALL_S) {
    stalls.push({ fromS: moved.atS, untilS: last.atS });
  }
  return stalls;
}

/** The batch of keys of a moment. */
function batchAt(event: LiveEvent, atS: number): number {
  const begins = /availabilityStartTime="([^"]+)"/.exec(readFileSync(event.manifest, "utf8"))?.[1];
  assert.ok(begins !== undefined, "the manifest says when the event began");
  const batchS = ROTATION.periodS * ROTATION.batchPeriods;
  return Math.max(0, Math.floor((atS - Date.parse(begins) / 1000) / batchS));
}

/** When the event's manifest was written last. */
function writtenAt(event: LiveEvent): number {
  return statSync(event.manifest).mtimeMs;
}

function sleep(seconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, Math.max(0, seconds) * 1000));
}
