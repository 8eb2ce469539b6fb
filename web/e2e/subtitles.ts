// Subtitles as the browser holds them, whoever the player is: cues of the video's text tracks.

import type { Page } from "playwright-core";

/** Has the browser show the subtitles of a language, for players that follow its choice. */
export async function showSubtitles(page: Page, language: string): Promise<void> {
  await page.evaluate((wanted) => {
    for (const track of document.querySelector("video")?.textTracks ?? []) {
      if (track.language === wanted) track.mode = "showing";
    }
  }, language);
}

/** Waits for a cue that says `text` and begins at `sinceS`, and that it is shown at `atS`. */
export async function assertCue(
  page: Page,
  atS: number,
  text: string,
  sinceS: number,
): Promise<void> {
  const isThere = (wanted: { list: "cues" | "activeCues"; text: string; sinceS: number }) => {
    const tracks = [...(document.querySelector("video")?.textTracks ?? [])];
    const cues = tracks.flatMap((track) => [...(track[wanted.list] ?? [])]);
    return cues.some(
      (cue) =>
        cue instanceof VTTCue &&
        cue.text.includes(wanted.text) &&
        Math.abs(cue.startTime - wanted.sinceS) < 0.1,
    );
  };
  await page.waitForFunction(isThere, { list: "cues", text, sinceS } as const);
  await page.evaluate((seconds) => {
    const video = document.querySelector("video");
    if (video === null) throw new Error("no video element");
    video.pause();
    video.currentTime = seconds;
  }, atS);
  await page.waitForFunction(isThere, { list: "activeCues", text, sinceS } as const);
}
