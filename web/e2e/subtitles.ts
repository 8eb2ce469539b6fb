// Subtitles as the browser holds them, whoever the player is: cues of the video's text tracks.

import type { Page } from "playwright-core";

/**
 * Shows the subtitles of a language, stands still at `atS`, and waits until the cue there says
 * `text`, as one that began at `sinceS`.
 */
export async function assertCue(
  page: Page,
  language: string,
  atS: number,
  text: string,
  sinceS: number,
): Promise<void> {
  await page.evaluate(
    (wanted) => {
      const video = document.querySelector("video");
      if (video === null) throw new Error("no video element");
      for (const track of video.textTracks) {
        if (track.language === wanted.language) track.mode = "showing";
      }
      video.pause();
      video.currentTime = wanted.atS;
    },
    { language, atS },
  );
  await page.waitForFunction(
    (wanted) => {
      const tracks = [...(document.querySelector("video")?.textTracks ?? [])];
      const cues = tracks.flatMap((track) => [...(track.activeCues ?? [])]);
      return cues.some(
        (cue) =>
          cue instanceof VTTCue &&
          cue.text.includes(wanted.text) &&
          Math.abs(cue.startTime - wanted.sinceS) < 0.1,
      );
    },
    { text, sinceS },
  );
}
