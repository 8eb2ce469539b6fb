// Is the picture on the screen the picture of the clear clip?
//
// Browsers paint protected video blank on a canvas, and a player's clock runs on over a picture
// of noise. So a screenshot of the composed page is compared with the clear clip's frame of the
// same media time.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import type { Page } from "playwright-core";
import { PNG } from "pngjs";
import { PATIENCE_MS } from "./demo";

/** Mean difference in grey levels: with the right key 3 to 6.5, a wrong key 42, nothing 90. */
export const MATCH_BAR = 8;

/** Frames looked at on each side of the media time: rounding, and the clip's own frame rate. */
const FRAMES_AROUND = 3;

/** Below this spread (standard deviation, grey levels) a picture is flat and proves nothing. */
const LEAST_SPREAD = 8;

interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGB, 3 bytes a pixel. */
  readonly pixels: Buffer;
}

/** Starts noting which frame is on the screen. Call once a video element is there. */
export async function noteFrames(page: Page): Promise<void> {
  await page.evaluate(() => {
    const video = document.querySelector("video");
    if (video === null) throw new Error("no video element");
    const note = (_now: number, frame: { mediaTime: number }) => {
      video.dataset["mediaTime"] = String(frame.mediaTime);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  });
}

/** Waits until the video has played `seconds` beyond where it is when it first moves. */
export async function playFor(page: Page, seconds: number): Promise<void> {
  const position = () => page.evaluate(() => document.querySelector("video")?.currentTime ?? 0);
  const isPlaying = () => {
    const video = document.querySelector("video");
    return video !== null && !video.paused && video.readyState >= 3 && video.currentTime > 0;
  };
  await page.waitForFunction(isPlaying);
  const goal = (await position()) + seconds;
  await page.waitForFunction(
    (until) => (document.querySelector("video")?.currentTime ?? 0) >= until,
    goal,
    { timeout: PATIENCE_MS + seconds * 3_000 },
  );
}

/** Stops the picture, takes it from the screen, and lets it run on. */
export async function takePicture(page: Page): Promise<{ picture: Picture; mediaTimeS: number }> {
  const box = await page.evaluate(async () => {
    const video = document.querySelector("video");
    if (video === null) throw new Error("no video element");
    video.pause();
    const controls = document.getElementById("controls");
    if (controls !== null) controls.style.visibility = "hidden";
    video.scrollIntoView();
    // Two frames of the page: the paused picture has been composed by then.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    await new Promise((done) => setTimeout(done, 200));
    const { left, top, width, height } = video.getBoundingClientRect();
    // The video stands in its box with its own proportions.
    const scale = Math.min(width / (video.videoWidth || 16), height / (video.videoHeight || 9));
    const shown = {
      width: (video.videoWidth || 16) * scale,
      height: (video.videoHeight || 9) * scale,
    };
    return {
      x: Math.round(left + (width - shown.width) / 2),
      y: Math.round(top + (height - shown.height) / 2),
      width: Math.round(shown.width),
      height: Math.round(shown.height),
      mediaTimeS: Number(video.dataset["mediaTime"] ?? video.currentTime),
    };
  });
  const { mediaTimeS, ...clip } = box;
  const png = PNG.sync.read(await page.screenshot({ clip }));
  await page.evaluate(() => {
    const controls = document.getElementById("controls");
    if (controls !== null) controls.style.visibility = "";
    void document.querySelector("video")?.play().catch(() => undefined);
  });
  const pixels = Buffer.alloc(png.width * png.height * 3);
  for (let i = 0; i < png.width * png.height; i += 1) {
    png.data.copy(pixels, i * 3, i * 4, i * 4 + 3);
  }
  return { picture: { width: png.width, height: png.height, pixels }, mediaTimeS };
}

/** The smallest difference between `picture` and the clear frames around `mediaTimeS`. */
export function differenceToClear(picture: Picture, source: string, mediaTimeS: number): number {
  const frames = clearFrames(source, mediaTimeS, picture);
  return Math.min(...frames.map((frame) => difference(frame, picture.pixels)));
}

/** Plays on and compares `times` pictures, each a while after the other. */
export async function assertMatches(page: Page, source: string, times = 3): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < times; i += 1) {
    await playFor(page, 0.7);
    const { picture, mediaTimeS } = await takePicture(page);
    const is = differenceToClear(picture, source, mediaTimeS);
    found.push(is);
    assert.ok(is <= MATCH_BAR, `at ${mediaTimeS} s the picture differs by ${is.toFixed(1)}`);
  }
  return found;
}

/** Compares what is on the screen now with the clear clip at several times: nothing matches. */
export async function assertNoMatch(page: Page, source: string): Promise<number> {
  const { picture, mediaTimeS } = await takePicture(page);
  const times = [mediaTimeS, 0, 1, 2, 4, 8];
  const least = Math.min(...times.map((at) => differenceToClear(picture, source, at)));
  assert.ok(least > MATCH_BAR, `a picture of the clear clip is shown (${least.toFixed(1)})`);
  return least;
}

function clearFrames(source: string, atS: number, size: Picture): Buffer[] {
  const rate = frameRate(source);
  const from = Math.max(0, atS - (FRAMES_AROUND + 0.5) / rate);
  const { status, stdout, stderr } = spawnSync(
    "ffmpeg",
    [
      ...["-v", "error", "-ss", from.toFixed(4), "-i", source],
      ...["-frames:v", String(2 * FRAMES_AROUND + 1)],
      ...["-vf", `scale=${size.width}:${size.height}:flags=bilinear`],
      ...["-pix_fmt", "rgb24", "-f", "rawvideo", "-"],
    ],
    { maxBuffer: 1 << 30 },
  );
  assert.equal(status, 0, `ffmpeg cannot read ${source}: ${stderr}`);
  const bytes = size.width * size.height * 3;
  const frames: Buffer[] = [];
  for (let at = 0; at + bytes <= stdout.length; at += bytes) {
    frames.push(stdout.subarray(at, at + bytes));
  }
  assert.ok(frames.length > 0, `${source} has no frame at ${atS} s`);
  return frames;
}

const rates = new Map<string, number>();

function frameRate(source: string): number {
  const known = rates.get(source);
  if (known !== undefined) return known;
  const { stdout } = spawnSync("ffprobe", [
    ...["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=avg_frame_rate"],
    ...["-of", "default=nw=1:nk=1", source],
  ]);
  const [frames = 25, seconds = 1] = stdout.toString().trim().split("/").map(Number);
  const rate = frames / seconds;
  rates.set(source, rate);
  return rate;
}

/** Mean absolute difference of all color values; fails on a clear frame that is flat. */
function difference(clear: Buffer, shown: Buffer): number {
  let sum = 0;
  let total = 0;
  let squares = 0;
  for (let i = 0; i < clear.length; i += 1) {
    const value = clear[i] ?? 0;
    sum += Math.abs(value - (shown[i] ?? 0));
    total += value;
    squares += value * value;
  }
  const mean = total / clear.length;
  const spread = Math.sqrt(squares / clear.length - mean * mean);
  assert.ok(spread > LEAST_SPREAD, "the clear frame is flat: it proves nothing");
  return sum / clear.length;
}
