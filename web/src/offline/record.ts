// What is written down of a download: enough to play it, to finish it, and to give it back.

import type { Codecs } from "./ability";

/** A license session that the browser's decryption module keeps (W3C EME, `persistent-license`). */
export interface KeptSession {
  readonly sessionId: string;
  /** Initialization data it was asked with (`cenc`), base64. */
  readonly initData: string;
}

/** How far a download is. */
export type DownloadState =
  /** Licenses are asked for, or files are fetched; it goes on where it was. */
  | "fetching"
  /** All of it is here. */
  | "whole"
  /** Erased here; the service has not heard yet that its license was given back. */
  | "given-back";

export interface DownloadRecord {
  readonly contentId: string;
  readonly name: string;
  readonly state: DownloadState;
  /** The service's name of the DRM system. */
  readonly dialect: string;
  /** Of picture and sound: with these the browser's module is asked for. */
  readonly codecs: Codecs;
  readonly sessions: readonly KeptSession[];
  /** Until when the licenses play, ms since the epoch; `null` while unknown. */
  readonly endsMs: number | null;
  /** The manifest of what was chosen; its paths are those of `files`. */
  readonly manifest: string;
  readonly files: readonly string[];
  /** Lines of the chosen picture; `null` while nothing is chosen. */
  readonly height: number | null;
  /** Bytes that are kept. */
  readonly bytes: number;
}

/** Whether its term is over. */
export function isOver(record: DownloadRecord, nowMs: number): boolean {
  return record.endsMs !== null && record.endsMs <= nowMs;
}

/** Reads what `JSON.stringify` wrote; `null` where it is nothing of ours. */
export function readRecord(text: string): DownloadRecord | null {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof read !== "object" || read === null) return null;
  const record = read as Record<keyof DownloadRecord, unknown>;
  const isText = (...values: unknown[]) => values.every((value) => typeof value === "string");
  const isNumberOrNull = (value: unknown) => value === null || typeof value === "number";
  const isOurs =
    isText(record.contentId, record.name, record.dialect, record.manifest) &&
    ["fetching", "whole", "given-back"].includes(String(record.state)) &&
    typeof record.codecs === "object" &&
    Array.isArray(record.files) &&
    isText(...record.files) &&
    Array.isArray(record.sessions) &&
    record.sessions.every((one) => isText(one?.sessionId, one?.initData)) &&
    isNumberOrNull(record.endsMs) &&
    isNumberOrNull(record.height) &&
    typeof record.bytes === "number";
  return isOurs ? (read as DownloadRecord) : null;
}
