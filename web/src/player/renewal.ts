// Keeps a license from ending in the middle of a film.

import { Refusal } from "../service/problem";

/** How long before its end a license is renewed. */
const LEAD_MS = 60_000;

/** Longest wait a browser timer can take; a longer license is looked at again by then. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Renewal {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly renew: () => Promise<void>,
    private readonly ended: (refusal: Refusal) => void,
  ) {}

  /** A license was granted until `expiresMs`: replaces what was planned before. */
  plan(expiresMs: number): void {
    this.#at(expiresMs - Math.min(LEAD_MS, (expiresMs - Date.now()) / 2), () => {
      this.renew().catch((refusal: unknown) => {
        // A failed renewal is final only when the license has really ended.
        if (refusal instanceof Refusal) this.#at(expiresMs, () => this.ended(refusal));
        else throw refusal;
      });
    });
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #at(timeMs: number, act: () => void): void {
    clearTimeout(this.#timer);
    const wait = Math.max(0, timeMs - Date.now());
    this.#timer =
      wait > LONGEST_TIMER_MS
        ? setTimeout(() => this.#at(timeMs, act), LONGEST_TIMER_MS)
        : setTimeout(act, wait);
  }
}
