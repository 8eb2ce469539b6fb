// Calls to the service. Each returns its answer or throws a `Refusal`.

import { networkRefusal, refusalOf, unexpectedAnswer } from "./problem";
import { CLEAR_KEY, parseTicket, type Ticket } from "./ticket";

/** A title the signed-in viewer may see. */
export interface CatalogTitle {
  readonly contentId: string;
  readonly name: string;
  readonly isPlayable: boolean;
}

/** Sends a request; throws unless it was granted. */
export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { cache: "no-store", ...init });
  } catch {
    throw networkRefusal();
  }
  if (response.ok) return response;
  const body = await response.text().catch(() => "");
  throw refusalOf(response.status, body, (name) => response.headers.get(name));
}

async function json(url: string, init?: RequestInit): Promise<unknown> {
  const response = await request(url, init);
  try {
    return await response.json();
  } catch {
    throw unexpectedAnswer(response.status);
  }
}

function jsonBody(method: string, body: unknown): RequestInit {
  return {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
}

/** Signs in; the session stays in a cookie this script cannot read. */
export async function signIn(name: string, password: string): Promise<void> {
  await request("/api/v1/sessions", jsonBody("POST", { name, password }));
}

export async function signOut(): Promise<void> {
  await request("/api/v1/sessions", { method: "DELETE" });
}

/** The name of the signed-in account. */
export async function accountName(): Promise<string> {
  const me = await json("/api/v1/me");
  if (isObject(me) && typeof me["name"] === "string") return me["name"];
  throw unexpectedAnswer(200);
}

/** The titles this viewer may see. */
export async function titles(): Promise<CatalogTitle[]> {
  const answer = await json("/api/v1/titles");
  const list = isObject(answer) ? answer["titles"] : undefined;
  if (!Array.isArray(list)) throw unexpectedAnswer(200);
  return list.filter(isObject).map((title) => ({
    contentId: String(title["content_id"]),
    name: String(title["name"]),
    isPlayable: title["state"] === "published",
  }));
}

/** Asks to watch with this system: reserves a stream slot and brings the ticket. */
export async function playbackTicket(contentId: string, dialect = CLEAR_KEY): Promise<Ticket> {
  const path = `/api/v1/playback/token/${encodeURIComponent(contentId)}`;
  const query = dialect === CLEAR_KEY ? "" : `?dialect=${dialect}`;
  return parseTicket(await json(path + query), Date.now(), dialect);
}

/** Frees the place that a downloaded title took among those of the account. */
export async function forgetKept(contentId: string): Promise<void> {
  await request(`/api/v1/offline/${encodeURIComponent(contentId)}`, { method: "DELETE" });
}

/** What a heartbeat says of the player. */
export interface PlayerReport {
  readonly position_s: number;
  readonly state: "playing" | "paused" | "stopped";
}

/** A report with its number: each is higher than the one before. */
export interface NumberedReport extends PlayerReport {
  readonly seq: number;
}

/** Keeps the stream slot; answers the seconds until the next report. */
export async function heartbeat(url: string, report: NumberedReport): Promise<number> {
  const answer = await json(url, jsonBody("POST", report));
  const interval = isObject(answer) ? answer["interval_s"] : undefined;
  if (typeof interval !== "number" || !(interval >= 1)) throw unexpectedAnswer(200);
  return interval;
}

/** The last report of a page that is being left: no answer can be waited for. */
export function farewell(url: string, report: PlayerReport): void {
  const body = new Blob([JSON.stringify(report)], { type: "application/json" });
  navigator.sendBeacon(url, body);
}

/** Frees the slot of a playback that never showed a picture; leaves the resume point alone. */
export function abandon(sessionId: string): void {
  const path = `/api/v1/playback/${encodeURIComponent(sessionId)}`;
  // A slot that is not freed here lapses by itself.
  void fetch(path, { method: "DELETE", keepalive: true }).catch(() => undefined);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
