// Titles in parts (DASH periods, HLS date ranges) with TTML subtitles, AV1, and what the browser
// cannot decode.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import {
  account, beginAtStart, closeBrowser, openAs, watchPath, withPage, type Title,
} from "./demo";
import { packageTitle, removeClips } from "./extra-titles";
import { assertMatches, noteFrames, playFor } from "./picture";
import { begin, openPlayer, PLAYERS, tracks } from "./player-page";
import { assertSubtitle } from "./subtitles";

/** Where the second part begins, seconds. */
const BORDER_S = 4;

const TTML = `<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en"><body><div>
<p begin="1s" end="3s">Before the border</p>
<p begin="5s" end="7s">Behind the border</p>
</div></body></tt>`;

let parts: Title;
let av1: Title;
let hevc: Title;

before(() => {
  parts = packageTitle("e2e-parts", "h264", ["--ad-cue", String(BORDER_S)], { en: TTML });
  av1 = packageTitle("e2e-av1", "av1");
  hevc = packageTitle("e2e-hevc", "hevc");
});
after(closeBrowser);
after(removeClips);

/**
 * Plays from the first part into the second, with the subtitles of both; then the picture is
 * still the clip's.
 */
async function assertCrossesTheBorder(page: Page): Promise<void> {
  await noteFrames(page);
  await assertSubtitle(page, "Before the border", 1);
  await page.evaluate(() => document.querySelector("video")?.play());
  await page.waitForFunction(
    (border) => (document.querySelector("video")?.currentTime ?? 0) > border,
    BORDER_S + 0.2,
  );
  await assertMatches(page, parts.source, 1);
  await assertSubtitle(page, "Behind the border", 5);
}

test("the watch page plays over the border of two parts, with TTML in both", async () => {
  await withPage(async (page) => {
    await openAs(page, account("entitled"), watchPath(parts));
    await beginAtStart(page);
    await page.getByLabel("Subtitles").selectOption("en");
    await assertCrossesTheBorder(page);
  });
});

for (const [name, file] of Object.entries(PLAYERS)) {
  test(`${name} plays over the border of two parts, with TTML in both`, async () => {
    await withPage(async (page) => {
      const trouble = await openPlayer(page, file);
      await begin(page, parts.content_id, "cbcs");
      const is = await tracks(page);
      await is.chooseSubtitles("en");
      await assertCrossesTheBorder(page);
      assert.deepEqual(trouble.refused, []);
    });
  });
}

for (const scheme of ["cbcs", "cenc"] as const) {
  test(`AV1 plays from its ${scheme} set, and the picture is the clip's`, async () => {
    await withPage(async (page) => {
      await openAs(page, account("entitled"), watchPath(av1, scheme));
      await beginAtStart(page);
      await noteFrames(page);
      await playFor(page, 1);
      await assertMatches(page, av1.source, 1);
    });
  });
}

for (const [name, file] of Object.entries(PLAYERS)) {
  test(`${name} plays AV1, and the picture is the clip's`, async () => {
    await withPage(async (page) => {
      const trouble = await openPlayer(page, file);
      await begin(page, av1.content_id, "cbcs");
      await noteFrames(page);
      await playFor(page, 1);
      await assertMatches(page, av1.source, 1);
      assert.deepEqual(trouble.refused, []);
    });
  });
}

test("HEVC, which this browser cannot decode, is said in words", async (t) => {
  await withPage(async (page) => {
    await openAs(page, account("entitled"), watchPath(hevc));
    const decodes = await page.evaluate(() =>
      MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L60.90"'),
    );
    if (decodes) {
      // A browser built with a decoder of the machine's: then it has to play.
      t.diagnostic("this browser decodes HEVC");
      await playFor(page, 1);
      return;
    }
    const message = page.getByRole("alert");
    assert.match(await message.locator(".sentence").innerText(), /cannot decode/);
    assert.match(await message.locator(".reference").innerText(), /^player_(6001|4032)/);
  });
});
