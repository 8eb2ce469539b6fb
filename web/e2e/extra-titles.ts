// Titles that the demo does not have, packaged into its store while it serves.
//
// `STRONGROOM_BINARY` names the binary, `STRONGROOM_DATA` the demo's data folder.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Title } from "./demo";

/** How the picture is coded. */
export const CODECS = {
  h264: "libx264 -preset ultrafast -sc_threshold 0",
  av1: "libsvtav1 -preset 12",
  hevc: "libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=error",
} as const;

/** A folder for the clear clips; removed by `removeClips`. */
const folder = mkdtempSync(join(tmpdir(), "strongroom-extra-"));

export function removeClips(): void {
  rmSync(folder, { recursive: true, force: true });
}

/** Subtitles of a title: language and TTML. */
export type Subtitles = Readonly<Record<string, string>>;

/** Soft, so that frames 40 ms apart are nearly the same; pale, because a clip this small does not
 * say by which matrix its colors were made, and browser and ffmpeg guess differently. */
const CARD = "testsrc2=size=320x180:rate=25:duration=8,gblur=sigma=4,hue=s=0.3";

/** Packages eight seconds of test card, in both schemes, with further words to `package`. */
export function packageTitle(
  contentId: string,
  codec: keyof typeof CODECS,
  words: readonly string[] = [],
  subtitles: Subtitles = {},
): Title {
  const source = join(folder, `${contentId}.mp4`);
  run("ffmpeg", [
    ...["-nostdin", "-v", "error", "-y"],
    ...["-f", "lavfi", "-i", CARD],
    ...["-f", "lavfi", "-i", "sine=frequency=440:duration=8:sample_rate=48000"],
    ...["-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", "-c:v", ...CODECS[codec].split(" ")],
    source,
  ]);
  const texts = Object.entries(subtitles).map(([language, ttml]) => {
    const path = join(folder, `${contentId}.${language}.ttml`);
    writeFileSync(path, ttml);
    return path;
  });
  run(named("STRONGROOM_BINARY"), [
    ...["--data", named("STRONGROOM_DATA"), "package", "--content", contentId],
    ...["--scheme", "dual", "--segment-seconds", "2", ...words, source, ...texts],
  ]);
  return { content_id: contentId, source };
}

export function named(variable: string): string {
  const value = process.env[variable];
  if (value === undefined) throw new Error(`${variable} must be set: see e2e/extra-titles.ts`);
  return value;
}

function run(program: string, words: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, words, { encoding: "utf8" });
  assert.equal(status, 0, `${program} ${words.join(" ")}: ${error?.message ?? stderr}`);
}
