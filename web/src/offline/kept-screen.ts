// The player of a download: licenses from the browser's module, files from the shelf.

import { Screen, type ScreenEvents } from "../player/screen";
import { Refusal } from "../service/problem";
import { ROBUSTNESS } from "./ability";
import { bytesOf } from "./kept-license";
import { shelf, systemOf } from "./page-ports";
import type { DownloadRecord } from "./record";
import { incomplete } from "./shelf";
import { obstacleOf } from "./words";

const MANIFEST = "manifest.mpd";

/** Whether the title plays from here now. */
export async function isKept(contentId: string): Promise<boolean> {
  if (!("caches" in window)) return false;
  return obstacleOf(await shelf.record(contentId), Date.now()) === null;
}

/** The player of a download; throws the `Refusal` that says why it does not play. */
export async function keptScreen(
  contentId: string,
  video: HTMLVideoElement,
  events: ScreenEvents,
): Promise<{ screen: Screen; record: DownloadRecord }> {
  const record = "caches" in window ? await shelf.record(contentId) : null;
  const obstacle = obstacleOf(record, Date.now());
  const system = record === null ? null : systemOf(record);
  if (obstacle !== null) throw obstacle;
  if (record === null || system === null) throw incomplete();
  const screen = new Screen(video, () => Promise.reject(noLicense()), events, {
    keySystem: system.keySystem,
    robustness: ROBUSTNESS,
    sessions: record.sessions.map(({ sessionId, initData }) => ({
      sessionId,
      initData: bytesOf(initData),
    })),
    read: (uri, range) => read(record, uri, range),
  });
  return { screen, record };
}

async function read(record: DownloadRecord, uri: string, range: string | null): Promise<ArrayBuffer> {
  // `kept://TITLE/PATH`, the path as the manifest has it.
  const path = uri.split("/").slice(3).join("/");
  if (path === MANIFEST) return new TextEncoder().encode(record.manifest).buffer;
  if (!record.files.includes(path)) throw incomplete();
  const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "bytes=0-") ?? [];
  return shelf.read(record.contentId, path, Number(from), to === "" ? null : Number(to));
}

function noLicense(): Refusal {
  return new Refusal({
    sentence: "The license of this download does not open all of it. Delete it and download it again.",
    code: "download_license",
    status: null,
  });
}
