// Where downloads lie: one cache (W3C Service Workers, Cache) for each title, with its record and
// its files as they came: ciphertext. A title is removed by removing its cache, whole.
//
// Files lie in pieces, so that a long one is resumed in its middle. A piece is there whole or not
// at all, and says how long its file is.

import { Refusal } from "../service/problem";
import { readRecord, type DownloadRecord } from "./record";

/** Bytes of one piece. */
export const PIECE_BYTES = 4 << 20;

const CACHE_PREFIX = "download ";
const RECORD = "record.json";
const LENGTH = "X-File-Length";

/** What a download needs of its place; tests bring their own. */
export interface Shelf {
  record(contentId: string): Promise<DownloadRecord | null>;
  save(record: DownloadRecord): Promise<void>;
  /** The length of a file of which this piece is there; `null` where it is not. */
  has(contentId: string, path: string, piece: number): Promise<number | null>;
  put(contentId: string, path: string, piece: number, bytes: ArrayBuffer, length: number): Promise<void>;
  /** Removes the files; what is written down stays. */
  empty(contentId: string): Promise<void>;
  remove(contentId: string): Promise<void>;
}

export class CacheShelf implements Shelf {
  /** All that is written down, by name. */
  async records(): Promise<DownloadRecord[]> {
    const names = (await caches.keys()).filter((name) => name.startsWith(CACHE_PREFIX));
    const found = await Promise.all(
      names.map((name) => this.record(name.slice(CACHE_PREFIX.length))),
    );
    return found
      .filter((record): record is DownloadRecord => record !== null)
      .sort((a, b) => a.name.localeCompare(b.name));
  }

  async record(contentId: string): Promise<DownloadRecord | null> {
    if (!(await caches.has(CACHE_PREFIX + contentId))) return null;
    const found = await this.#match(contentId, RECORD, 0);
    return found === undefined ? null : readRecord(await found.text());
  }

  async save(record: DownloadRecord): Promise<void> {
    await this.#write(record.contentId, RECORD, 0, new Response(JSON.stringify(record)));
  }

  async has(contentId: string, path: string, piece: number): Promise<number | null> {
    const found = await this.#match(contentId, path, piece);
    return found === undefined ? null : Number(found.headers.get(LENGTH));
  }

  async put(
    contentId: string,
    path: string,
    piece: number,
    bytes: ArrayBuffer,
    length: number,
  ): Promise<void> {
    const headers = { [LENGTH]: String(length) };
    await this.#write(contentId, path, piece, new Response(bytes, { headers }));
  }

  async empty(contentId: string): Promise<void> {
    const cache = await caches.open(CACHE_PREFIX + contentId);
    const record = address(contentId, RECORD, 0);
    for (const { url } of await cache.keys()) {
      if (new URL(url).pathname !== new URL(record, location.origin).pathname) await cache.delete(url);
    }
  }

  async remove(contentId: string): Promise<void> {
    await caches.delete(CACHE_PREFIX + contentId);
  }

  /** Bytes `from` to `to` (with it; `null`: to the end) of a file; throws a `Refusal` where one is missing. */
  async read(contentId: string, path: string, from: number, to: number | null): Promise<ArrayBuffer> {
    const pieces: ArrayBuffer[] = [];
    let last = to ?? Number.POSITIVE_INFINITY;
    for (let piece = Math.floor(from / PIECE_BYTES); piece * PIECE_BYTES <= last; piece += 1) {
      const found = await this.#match(contentId, path, piece);
      if (found === undefined) throw incomplete();
      last = Math.min(last, Number(found.headers.get(LENGTH)) - 1);
      const begins = piece * PIECE_BYTES;
      const bytes = await found.arrayBuffer();
      if (bytes.byteLength < Math.min(PIECE_BYTES, last + 1 - begins)) throw incomplete();
      pieces.push(bytes.slice(Math.max(0, from - begins), last + 1 - begins));
    }
    return new Blob(pieces).arrayBuffer();
  }

  async #match(contentId: string, path: string, piece: number): Promise<Response | undefined> {
    const cache = await caches.open(CACHE_PREFIX + contentId);
    return cache.match(address(contentId, path, piece));
  }

  async #write(contentId: string, path: string, piece: number, answer: Response): Promise<void> {
    const cache = await caches.open(CACHE_PREFIX + contentId);
    try {
      await cache.put(address(contentId, path, piece), answer);
    } catch (error) {
      if (error instanceof DOMException && error.name === "QuotaExceededError") throw noRoom();
      throw error;
    }
  }
}

/** The key of a piece: no page has this address. */
function address(contentId: string, path: string, piece: number): string {
  return `/downloads/${encodeURIComponent(contentId)}/${path}?piece=${piece}`;
}

export function noRoom(): Refusal {
  return new Refusal({
    sentence: "There is not enough room on this device. Delete something and try again.",
    code: "no_room",
    status: null,
  });
}

export function incomplete(): Refusal {
  return new Refusal({
    sentence: "A part of this download is missing. Connect to the service and download it again.",
    code: "download_incomplete",
    status: null,
  });
}
