// A live event on the demo's service: ffmpeg makes a picture and a sound in real time, and
// `strongroom package --live` packages them as they come.
//
// `STRONGROOM_BINARY` names the binary, `STRONGROOM_DATA` the demo's data folder.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { named } from "./extra-titles";

/** What the event shows: two renditions below the class SD, so that every browser gets both. */
const SOURCE = [
  ...["-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"],
  ...["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"],
  ...["-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast"],
  ...["-tune", "zerolatency", "-g", "25", "-keyint_min", "25", "-sc_threshold", "0"],
  ...["-pix_fmt", "yuv420p", "-b:v", "600k", "-c:a", "aac", "-b:a", "96k"],
  ...["-f", "mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-"],
];

/** Seconds of one key period, and periods of one batch. */
export const ROTATION = { periodS: 10, batchPeriods: 3 } as const;

/** How long the first segments may take on a loaded machine. */
const PATIENCE_MS = 40_000;

export class LiveEvent {
  #source: ChildProcess | undefined;
  #packager: ChildProcess | undefined;
  #said = "";

  constructor(readonly contentId: string) {}

  /** The event's manifest on this disk. */
  get manifest(): string {
    return join(named("STRONGROOM_DATA"), "media", this.contentId, "current", "manifest.mpd");
  }

  /** Begins the event, or goes on with it, and waits until there is something to play. */
  async begin(): Promise<void> {
    const source = spawn("ffmpeg", ["-nostdin", "-v", "error", ...SOURCE], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const packager = spawn(
      named("STRONGROOM_BINARY"),
      [
        ...["--data", named("STRONGROOM_DATA"), "package", "--live", "--content", this.contentId],
        ...["--scheme", "cbcs", "--segment-seconds", "2", "--window", "40"],
        ...["--rotate-seconds", String(ROTATION.periodS)],
        ...["--rotate-batch", String(ROTATION.batchPeriods), "-"],
      ],
      { stdio: [source.stdout, "ignore", "pipe"] },
    );
    packager.stderr?.on("data", (bytes: Buffer) => (this.#said += bytes.toString()));
    [this.#source, this.#packager] = [source, packager];
    const until = Date.now() + PATIENCE_MS;
    while (!existsSync(this.manifest)) {
      assert.equal(packager.exitCode, null, `the live packager ended: ${this.#said}`);
      assert.ok(Date.now() < until, `no live manifest: ${this.#said}`);
      await new Promise((done) => setTimeout(done, 200));
    }
  }

  /** Kills the packager as a failing machine does; its source ends with it. */
  async kill(): Promise<void> {
    const gone = new Promise((done) => this.#packager?.once("exit", done));
    this.#packager?.kill("SIGKILL");
    this.#source?.kill("SIGKILL");
    await gone;
  }

  /** Ends the event: its source has an end. */
  async end(): Promise<void> {
    const gone = new Promise<number | null>((done) => this.#packager?.once("exit", done));
    this.#source?.kill("SIGTERM");
    assert.equal(await gone, 0, this.#said);
  }
}
