// The answer of the token call: everything one viewing needs (DESIGN §4).

import { unexpectedAnswer } from "./problem";

/** The system with which the page streams. */
export const CLEAR_KEY = "clearkey";

/** One granted viewing: where its video, license and heartbeat are. */
export interface Ticket {
  /** The playback session: holds the stream slot. */
  readonly sessionId: string;
  /** License URL with its one-time token, for the system that was asked for. */
  readonly licenseUrl: string;
  /** The systems that the service answers. */
  readonly dialects: readonly string[];
  /** This page's clock, ms: from then on the license URL is of no use. */
  readonly licenseUrlEndsMs: number;
  /** DASH manifest, its path signed for this session. */
  readonly manifestUrl: string;
  readonly heartbeatUrl: string;
  readonly heartbeatIntervalS: number;
  /** Whether the title is a live event: it begins at its edge and has no length. */
  readonly isLive: boolean;
  /** Whether the title's keys change while it plays. */
  readonly rotates: boolean;
  /** Where this account left the title, seconds; 0 when it never began. */
  readonly resumeS: number;
}

/** License URLs live this long; a page whose clock is wrong goes by this alone. */
const LICENSE_URL_LIFE_MS = 30_000;

/** With less life than this a license URL is not used any more (C23). */
const LEAST_LIFE_MS = 5_000;

/** Reads the token answer, received at `receivedMs` by this page's clock. */
export function parseTicket(answer: unknown, receivedMs: number, dialect = CLEAR_KEY): Ticket {
  const root = fields(answer);
  const license = fields(root["license"]);
  const manifest = fields(root["manifest"]);
  const heartbeat = fields(root["heartbeat"]);
  return {
    sessionId: text(root["session_id"]),
    licenseUrl: text(license[dialect]),
    dialects: Object.keys(license),
    licenseUrlEndsMs: Math.min(number(root["expires_at"]), receivedMs + LICENSE_URL_LIFE_MS),
    manifestUrl: text(manifest["dash"]),
    heartbeatUrl: text(heartbeat["url"]),
    heartbeatIntervalS: Math.max(1, number(heartbeat["interval_s"])),
    isLive: root["live"] === true,
    rotates: root["rotation"] != null,
    resumeS: root["resume_s"] == null ? 0 : Math.max(0, number(root["resume_s"])),
  };
}

/** Whether the license URL has too little life left to start a request with it. */
export function isStale(ticket: Ticket, nowMs: number): boolean {
  return ticket.licenseUrlEndsMs - nowMs < LEAST_LIFE_MS;
}

/**
 * The license URL for every request after the first: the session cookie is the credential,
 * so it has no end of life of its own and serves renewals and new keys.
 */
export function renewalUrl(ticket: Ticket): string {
  const url = new URL(ticket.licenseUrl);
  url.search = "";
  url.searchParams.set("session", ticket.sessionId);
  return url.href;
}

function fields(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw unexpectedAnswer(200);
  return { ...value };
}

function text(value: unknown): string {
  if (typeof value !== "string" || value === "") throw unexpectedAnswer(200);
  return value;
}

function number(value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw unexpectedAnswer(200);
  return value;
}
