// When a refused request is sent again: at most three times, never before `Retry-After`.

import { Refusal, unavailable } from "./problem";

/** Retries after the first attempt. */
export const MAX_RETRIES = 3;

/** A service that asks for a longer wait is down: the viewer is told at once. */
const LONGEST_WAIT_MS = 60_000;

/** First wait when the service names none; doubles each time. */
const FIRST_WAIT_MS = 1_000;

/** Jitter added on top, as a share of the wait, so that a crowd spreads out. */
const JITTER_SHARE = 0.5;

/** What a retrying caller needs of the world; tests bring their own. */
export interface RetryPorts {
  /** Milliseconds since the epoch. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  sleep(ms: number): Promise<void>;
}

/** The ports of a page. */
export const PAGE_PORTS: RetryPorts = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep: (ms) => new Promise((wake) => setTimeout(wake, ms)),
};

/**
 * Runs `attempt` until it is granted, refused for good, or refused after the last retry.
 *
 * `waiting` is told of each retry and its delay, so that the page can say so.
 */
export async function persist<T>(
  attempt: () => Promise<T>,
  ports: RetryPorts,
  waiting: (retry: number, delayMs: number) => void,
): Promise<T> {
  for (let retry = 1; ; retry += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Refusal) || !error.isTransient) throw error;
      const delay = retryDelay(retry, error.retryAfter, ports.random(), ports.now());
      if (delay === null) throw unavailable(error);
      waiting(retry, delay);
      await ports.sleep(delay);
    }
  }
}

/**
 * Milliseconds to wait before retry number `retry` (1 is the first), or `null` to give up.
 *
 * `random` is in [0, 1); `nowMs` is needed for the date form of `Retry-After`.
 */
export function retryDelay(
  retry: number,
  retryAfter: string | null,
  random: number,
  nowMs: number,
): number | null {
  if (retry > MAX_RETRIES) return null;
  const asked = retryAfterMs(retryAfter, nowMs) ?? FIRST_WAIT_MS * 2 ** (retry - 1);
  if (asked > LONGEST_WAIT_MS) return null;
  return Math.round(asked + Math.max(asked, FIRST_WAIT_MS) * JITTER_SHARE * random);
}

/** Reads `Retry-After` (RFC 9110, 10.2.3): seconds or a date. `null` when neither. */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const value = header.trim();
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const at = /^[A-Z][a-z]{2}, /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
