// A download, from the wish to the whole: licenses first, then the files as they come, ciphertext.
//
// What is reached is written down before the next step, so that it goes on where it was, whatever
// ended it. A license is written down before its answer is used: none is kept that nothing names.

import { Refusal, unexpectedAnswer } from "../service/problem";
import type { Ticket } from "../service/ticket";
import type { Asked } from "./kept-license";
import type { Choice } from "./kept-manifest";
import { isOver, type DownloadRecord, type KeptSession } from "./record";
import { noRoom, PIECE_BYTES, type Shelf } from "./shelf";

/** Longest file, bytes; what is longer is not one of ours. */
const MAX_FILE_BYTES = 64 * 2 ** 30;

/** Room that is left free beside a download. */
const MARGIN_BYTES = 16 << 20;

/** A piece of a file, and how long the whole file is. */
export interface Piece {
  readonly bytes: ArrayBuffer;
  readonly length: number;
}

/** What giving a download back needs of the world; tests bring their own. */
export interface ForgetPorts {
  giveBack(record: DownloadRecord, session: KeptSession): Promise<void>;
  /** Tells the service that a title is not kept here any more. */
  tell(contentId: string): Promise<void>;
  readonly shelf: Shelf;
}

/** What a download needs beside that. */
export interface DownloadPorts extends ForgetPorts {
  now(): number;
  ticket(): Promise<Ticket>;
  manifest(url: string): Promise<string>;
  /** The ways to keep what a manifest offers, the wished one first. */
  choices(manifest: string): Choice[];
  /** Asks for one license that is kept, in the playback of this ticket. */
  acquire(ticket: Ticket, initData: string, noted: (session: KeptSession) => Promise<void>): Promise<Asked>;
  endPlayback(ticket: Ticket): void;
  fetchPiece(url: string, from: number, to: number, signal: AbortSignal): Promise<Piece>;
  freeBytes(): Promise<number | null>;
}

/** What a new record begins with. */
export type Wanted = Pick<
  DownloadRecord,
  "contentId" | "name" | "dialect" | "codecs"
>;

/** Tells how much is here, in [0, 1]. */
export type Progress = (share: number) => void;

/**
 * Brings a title, or what is missing of it. Answers the record: whole, or as far as it came when
 * `signal` stopped it. Throws a `Refusal`.
 */
export async function download(
  wanted: Wanted,
  ports: DownloadPorts,
  progress: Progress,
  signal: AbortSignal,
): Promise<DownloadRecord> {
  const found = await ports.shelf.record(wanted.contentId);
  const ticket = await ports.ticket();
  let record: DownloadRecord;
  try {
    if (ticket.isLive || ticket.rotates) throw notKept();
    const offered = ports.choices(await ports.manifest(ticket.manifestUrl));
    record = await licensed(wanted, found, offered, ticket, ports);
  } finally {
    // A download is no viewing: its slot is somebody else's from here on.
    ports.endPlayback(ticket);
  }
  return fetched(record, ticket.manifestUrl, ports, progress, signal);
}

/** The record with licenses that open what was chosen. */
async function licensed(
  wanted: Wanted,
  found: DownloadRecord | null,
  offered: readonly Choice[],
  ticket: Ticket,
  ports: DownloadPorts,
): Promise<DownloadRecord> {
  if (found !== null) {
    // What was chosen stands, as long as the service still offers it and its license plays.
    const before = offered.find(({ manifest }) => manifest === found.manifest);
    if (before !== undefined && found.height !== null && !isOver(found, ports.now())) return found;
    await forget(found, ports);
  }
  let record: DownloadRecord = {
    ...wanted,
    state: "fetching",
    sessions: [],
    endsMs: null,
    manifest: "",
    files: [],
    height: null,
    bytes: 0,
  };
  const ask = async (initData: string): Promise<boolean> => {
    const noted = async (session: KeptSession) => {
      record = { ...record, sessions: [...record.sessions, session] };
      await ports.shelf.save(record);
    };
    const asked = await ports.acquire(ticket, initData, noted);
    if (asked.endsMs !== null) {
      record = { ...record, endsMs: Math.min(asked.endsMs, record.endsMs ?? asked.endsMs) };
    }
    return asked.isOpen;
  };
  try {
    const choice = await firstOpen(offered, ask, ports);
    const { manifest, files, height } = choice;
    record = { ...record, manifest, files, height };
    await ports.shelf.save(record);
    return record;
  } catch (error) {
    // Nothing of it plays: what was asked for goes back.
    await forget(record, ports).catch(() => undefined);
    throw error;
  }
}

/** The first choice whose picture and sound the licenses open, and for which there is room. */
async function firstOpen(
  offered: readonly Choice[],
  ask: (initData: string) => Promise<boolean>,
  ports: DownloadPorts,
): Promise<Choice> {
  const free = await ports.freeBytes();
  const fitting = offered.filter(({ estimate }) => free === null || estimate + MARGIN_BYTES <= free);
  if (offered.length > 0 && fitting.length === 0) throw noRoom();
  const answers = new Map<string, boolean>();
  const isOpen = async (boxes: readonly string[]): Promise<boolean> => {
    for (const box of boxes) {
      if (!answers.has(box)) answers.set(box, await ask(box));
      if (answers.get(box) !== true) return false;
    }
    return true;
  };
  for (const choice of fitting) {
    if (choice.picture.length > 0 && (await isOpen(choice.picture)) && (await isOpen(choice.sound))) {
      return choice;
    }
  }
  throw withheld();
}

async function fetched(
  record: DownloadRecord,
  manifestUrl: string,
  ports: DownloadPorts,
  progress: Progress,
  signal: AbortSignal,
): Promise<DownloadRecord> {
  const { contentId, files } = record;
  let bytes = 0;
  let url = manifestUrl;
  for (const [place, path] of files.entries()) {
    let length = Number.POSITIVE_INFINITY;
    for (let piece = 0; piece * PIECE_BYTES < length; piece += 1) {
      if (signal.aborted) return stopped(record, bytes, ports);
      const known = await ports.shelf.has(contentId, path, piece);
      if (known !== null) {
        length = known;
      } else {
        try {
          const got = await fetchPiece(path, piece, url, ports, signal);
          await ports.shelf.put(contentId, path, piece, got.bytes, got.length);
          length = got.length;
        } catch (error) {
          if (signal.aborted) return stopped(record, bytes, ports);
          await ports.shelf.save({ ...record, bytes });
          if (!isPassOver(error) || url !== manifestUrl) throw error;
          // Media URLs live for hours; a long download outlives them once.
          url = await anew(ports);
          piece -= 1;
          continue;
        }
      }
      progress((place + Math.min(1, ((piece + 1) * PIECE_BYTES) / length)) / files.length);
    }
    bytes += length;
  }
  const whole: DownloadRecord = { ...record, state: "whole", bytes };
  await ports.shelf.save(whole);
  return whole;
}

async function stopped(
  record: DownloadRecord,
  bytes: number,
  ports: DownloadPorts,
): Promise<DownloadRecord> {
  const left = { ...record, bytes };
  await ports.shelf.save(left);
  return left;
}

/** Brings one piece and holds it to the lengths that its answer named. */
async function fetchPiece(
  path: string,
  piece: number,
  manifestUrl: string,
  ports: DownloadPorts,
  signal: AbortSignal,
): Promise<Piece> {
  const from = piece * PIECE_BYTES;
  const to = from + PIECE_BYTES - 1;
  const got = await ports.fetchPiece(new URL(path, manifestUrl).href, from, to, signal);
  const wanted = Math.min(PIECE_BYTES, got.length - from);
  if (!(got.length > 0 && got.length <= MAX_FILE_BYTES) || got.bytes.byteLength !== wanted) {
    throw unexpectedAnswer(206);
  }
  return got;
}

async function anew(ports: DownloadPorts): Promise<string> {
  const ticket = await ports.ticket();
  ports.endPlayback(ticket);
  return ticket.manifestUrl;
}

function isPassOver(error: unknown): boolean {
  return error instanceof Refusal && error.status !== null && [401, 403, 410].includes(error.status);
}

/**
 * Gives the licenses of a download back and removes it. Where the service cannot be told, the
 * files are gone and the licenses wiped, and the record stays until it has heard; throws then.
 */
export async function forget(record: DownloadRecord, ports: ForgetPorts): Promise<void> {
  const given: DownloadRecord = { ...record, state: "given-back", manifest: "", files: [], bytes: 0 };
  // From here on it does not play, wherever this ends.
  await ports.shelf.save(given);
  await ports.shelf.empty(record.contentId);
  // All are wiped, also where the service hears of none.
  const ends = await Promise.allSettled(
    record.sessions.map((session) => ports.giveBack(given, session)),
  );
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  await ports.tell(record.contentId);
  await ports.shelf.remove(record.contentId);
}

function notKept(): Refusal {
  return new Refusal({
    sentence: "This title cannot be downloaded in a browser: its keys change while it plays.",
    code: "not_downloadable",
    status: null,
  });
}

function withheld(): Refusal {
  return new Refusal({
    sentence: "The service keeps back the keys of this title from this browser: no quality of it can be downloaded here.",
    code: "license_withheld",
    status: null,
  });
}
