// Keeps a license from ending in the middle of a film, and the film from outliving its license:
// ClearKey modules keep no clock.

import { Refusal } from "../service/problem";
import type { RetryPorts } from "../service/retry";

/** How long before its end a license is renewed; half of its life where that is less. */
const LEAD_MS = 60_000;

/** A license with less life than this is not renewed: the service has set an end. */
const LEAST_LIFE_MS = 10_000;

/** Longest wait a browser timer can take; a longer one is waited for in parts. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Renewal {
  /** Counts the plans: an older one does nothing when its time comes. */
  #plan = 0;

  constructor(
    private readonly ports: Pick<RetryPorts, "now" | "sleep">,
    private readonly renew: () => Promise<void>,
    private readonly ended: (refusal: Refusal) => void,
  ) {}

  /** A license was granted until `expiresMs`: replaces what was planned before. */
  async plan(expiresMs: number): Promise<void> {
    this.#plan += 1;
    const plan = this.#plan;
    const life = expiresMs - this.ports.now();
    let reason = licenseEnded();
    if (life >= LEAST_LIFE_MS) {
      await this.#until(expiresMs - Math.min(LEAD_MS, life / 2));
      if (plan !== this.#plan) return;
      try {
        // A granted renewal brings a plan of its own.
        await this.renew();
      } catch (refusal) {
        // A failed one is final only when the license has really ended.
        if (!(refusal instanceof Refusal)) throw refusal;
        reason = refusal;
      }
    }
    await this.#until(expiresMs);
    if (plan === this.#plan) this.ended(reason);
  }

  stop(): void {
    this.#plan += 1;
  }

  async #until(timeMs: number): Promise<void> {
    for (let left = timeMs - this.ports.now(); left > 0; left = timeMs - this.ports.now()) {
      await this.ports.sleep(Math.min(left, LONGEST_TIMER_MS));
    }
  }
}

function licenseEnded(): Refusal {
  return new Refusal({
    sentence: "The license for this title has ended. Open the page again to go on.",
    code: "license_ended",
    status: null,
  });
}
