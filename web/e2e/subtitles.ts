// Subtitles as the viewer sees them: active cues of the browser's text tracks, or text that the
// player itself lays over the video (`#subtitles` of its page).

import type { Page } from "playwright-core";
import { playFor } from "./picture";

/** Seeks to one place: a paused video shows a cue that arrives late only after the next one. */
const SEEKS = 8;
const SHOWN_WITHIN_MS = 4_000;

/** Plays on for a moment; then `text` is shown from `sinceS` on, and not before. */
export async function assertSubtitle(page: Page, text: string, sinceS: number): Promise<void> {
  // Shaka Player loads no more subtitles if it is paused and moved while the first ones come.
  await page.evaluate(() => document.querySelector("video")?.play());
  await playFor(page, 0.7);
  await assertShown(page, sinceS + 0.4, text, true);
  await assertShown(page, sinceS - 0.4, text, false);
}

async function assertShown(page: Page, atS: number, text: string, isDue: boolean): Promise<void> {
  for (let i = 0; i < SEEKS; i += 1) {
    await page.evaluate((seconds) => {
      const video = document.querySelector("video");
      if (video === null) throw new Error("no video element");
      video.pause();
      video.currentTime = seconds;
    }, atS + i / 100);
    const isMet = ({ text, isDue }: { text: string; isDue: boolean }) => {
      const video = document.querySelector("video");
      const tracks = [...(video?.textTracks ?? [])].filter(({ mode }) => mode !== "disabled");
      const cues = tracks.flatMap((track) => [...(track.activeCues ?? [])]);
      const texts = cues.map((cue) => (cue instanceof VTTCue ? cue.text : ""));
      texts.push(document.getElementById("subtitles")?.innerText ?? "");
      return video?.seeking === false && texts.some((shown) => shown.includes(text)) === isDue;
    };
    const waited = page.waitForFunction(isMet, { text, isDue }, { timeout: SHOWN_WITHIN_MS });
    if (await waited.then(() => true, () => false)) return;
  }
  throw new Error(`at ${atS} s “${text}” is ${isDue ? "not " : ""}shown`);
}
