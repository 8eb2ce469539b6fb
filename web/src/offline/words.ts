// A download in words.

import { Refusal } from "../service/problem";
import { byteSize, dateTime } from "../time";
import { isOver, type DownloadRecord } from "./record";

/** What is to be said of a download. */
export function stateText(record: DownloadRecord, nowMs: number): string {
  if (record.state === "given-back") {
    return "Deleted here. The service is told as soon as there is a connection.";
  }
  if (isOver(record, nowMs)) {
    return `Its term ended on ${dateTime(record.endsMs ?? 0)}. Connect and download it again, or delete it.`;
  }
  const size = record.height === null ? "" : ` (${record.height}p, ${byteSize(record.bytes)})`;
  if (record.state === "fetching") return `Not complete${size}. Go on with the download to watch it.`;
  const until = record.endsMs === null ? "" : ` Plays until ${dateTime(record.endsMs)}.`;
  return `Downloaded${size}.${until}`;
}

/** Why a download does not play; `null` where it does. */
export function obstacleOf(record: DownloadRecord | null, nowMs: number): Refusal | null {
  if (record === null) {
    return refusal("This title is not downloaded in this browser.", "not_downloaded");
  }
  if (record.state === "whole" && !isOver(record, nowMs)) return null;
  const code = isOver(record, nowMs) ? "download_over" : "download_incomplete";
  return refusal(stateText(record, nowMs), code);
}

/** Whatever a download threw, as a refusal. */
export function downloadRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const name = error instanceof Error ? error.name : "unknown";
  return refusal("This browser could not keep the title.", `download_${name}`);
}

function refusal(sentence: string, code: string): Refusal {
  return new Refusal({ sentence, code, status: null });
}
