// What downloads need of the world, as a page has it.

import { LicenseDesk } from "../player/license-desk";
import { abandon, forgetKept, playbackTicket, request } from "../service/api";
import { Refusal, unexpectedAnswer } from "../service/problem";
import { PAGE_PORTS, persist, type RetryPorts } from "../service/retry";
import type { Ticket } from "../service/ticket";
import { accessOf, freeBytes, SYSTEMS, type Keeping, type System } from "./ability";
import type { DownloadPorts, ForgetPorts, Piece } from "./download";
import { EmeKeeper, type Asked, type LicenseKeeper } from "./kept-license";
import { choices, type Wish } from "./kept-manifest";
import type { DownloadRecord } from "./record";
import { CacheShelf } from "./shelf";

export const shelf = new CacheShelf();

/** Where a license goes back to: the viewer's sign-in is the credential. */
const licenseAddress = (system: System) => `/license/${system.dialect}`;

/** The ports of a download of this title, in a browser that can keep it. */
export function downloadPorts(contentId: string, keeping: Keeping, wish: Wish): DownloadPorts {
  const { system, access } = keeping;
  const keeper = keeperOf(system, access);
  const freshTicket = () => playbackTicket(contentId, system.dialect);
  const patiently = <T>(attempt: () => Promise<T>) => persist(attempt, PAGE_PORTS, () => undefined);
  let desk: LicenseDesk | null = null;
  let endsMs: number | null = null;
  const deskOf = (ticket: Ticket) =>
    (desk ??= new LicenseDesk(
      ticket,
      { ...PAGE_PORTS, post: (url, challenge) => send(system, url, challenge), freshTicket },
      {
        granted: (state) => (endsMs = state.expiresMs),
        scheduled: () => undefined,
        waiting: () => undefined,
      },
    ));
  return {
    now: () => Date.now(),
    ticket: () => patiently(freshTicket),
    manifest: async (url) => (await patiently(() => request(url))).text(),
    choices: (manifest) => choices(manifest, system.uuid, wish),
    acquire: async (ticket, initData, noted): Promise<Asked> => {
      const post = (message: ArrayBuffer) => deskOf(ticket).acquire(message);
      const asked = await keeper.acquire(initData, post, noted);
      // What the module does not say the answer's headers do.
      return { ...asked, endsMs: asked.endsMs ?? endsMs };
    },
    endPlayback: (ticket) => abandon((desk?.ticket ?? ticket).sessionId),
    fetchPiece: (url, from, to, signal) =>
      persist(() => fetchPiece(url, from, to, signal), until(signal), () => undefined),
    freeBytes,
    ...forgetPorts(async () => keeper),
  };
}

/** The ports of giving back, for what was downloaded at some time. */
export function forgetPorts(
  keeper: (record: DownloadRecord) => Promise<LicenseKeeper | null> = keeperFor,
): ForgetPorts {
  return {
    giveBack: async (record, session) => {
      const system = systemOf(record);
      const found = await keeper(record);
      // A browser that keeps no licenses any more has none to wipe.
      if (system === null || found === null) return;
      await found.giveBack(session, async (message) =>
        (await send(system, licenseAddress(system), message)).arrayBuffer(),
      );
    },
    tell: forgetKept,
    shelf,
  };
}

export function systemOf({ dialect }: DownloadRecord): System | null {
  return SYSTEMS.find((system) => system.dialect === dialect) ?? null;
}

async function keeperFor(record: DownloadRecord): Promise<LicenseKeeper | null> {
  const system = systemOf(record);
  const access = system === null ? null : await accessOf(system, record.codecs);
  return system === null || access === null ? null : keeperOf(system, access);
}

function keeperOf(system: System, access: MediaKeySystemAccess): LicenseKeeper {
  const certificate = () => request(licenseAddress(system)).then((answer) => answer.arrayBuffer());
  return new EmeKeeper(access, certificate);
}

function send({ contentType }: System, url: string, message: ArrayBuffer): Promise<Response> {
  return request(url, {
    method: "POST",
    headers: { "Content-Type": contentType },
    body: message,
    credentials: "include",
  });
}

/** A page's patience, until it is stopped. */
function until(signal: AbortSignal): RetryPorts {
  const stop = new Promise<void>((wake) => signal.addEventListener("abort", () => wake()));
  return { ...PAGE_PORTS, sleep: (ms) => Promise.race([PAGE_PORTS.sleep(ms), stop]) };
}

async function fetchPiece(url: string, from: number, to: number, signal: AbortSignal): Promise<Piece> {
  const lost = () =>
    new Refusal({
      sentence: "The connection was lost. What is here stays: go on later.",
      code: "network",
      status: signal.aborted ? null : 0,
    });
  const answer = await request(url, { headers: { Range: `bytes=${from}-${to}` }, signal }).catch(
    (error: unknown) => {
      throw error instanceof Refusal && error.status === 0 ? lost() : error;
    },
  );
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "");
  // A file that is shorter than a piece may come whole.
  const length = Number(range?.[2] ?? (from === 0 ? answer.headers.get("Content-Length") : Number.NaN));
  if (!Number.isFinite(length) || Number(range?.[1] ?? 0) !== from) {
    throw unexpectedAnswer(answer.status);
  }
  const bytes = await answer.arrayBuffer().catch(() => {
    throw lost();
  });
  return { bytes, length };
}
