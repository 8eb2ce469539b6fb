// Asks for the keys of the next batch at the moment the service names.
//
// A stream whose keys change names each batch with the one behind it, and Shaka asks when it first
// sees them: so would every viewer, in the same second. The service spreads them by the moments it
// names. Where that comes before the stream names anything new, the page names the batch in use
// once more: the same keys in another order, which Shaka takes for new initialization data.

import type { RetryPorts } from "../service/retry";
import { commonPssh, keysOf } from "./shared-init-data";

export class AskAhead {
  #latest: readonly string[] = [];
  #isAsked = true;
  #plan = 0;

  /** `ask` has the player open a session with initialization data (`cenc`). */
  constructor(
    private readonly ports: Pick<RetryPorts, "now" | "sleep">,
    private readonly ask: (initData: Uint8Array) => void,
  ) {}

  /** The stream, or this page, named keys. */
  saw(initData: Uint8Array): void {
    const keys = keysOf(initData);
    if (keys.length === 0 || keys.join() === this.#latest.join()) return;
    this.#latest = keys;
    this.#isAsked = true;
  }

  /** A license came: the next one is to be asked for after so many seconds. */
  async plan(afterS: number): Promise<void> {
    this.#plan += 1;
    const plan = this.#plan;
    this.#isAsked = false;
    const until = this.ports.now() + afterS * 1000;
    await this.ports.sleep(Math.max(0, until - this.ports.now()));
    if (plan !== this.#plan || this.#isAsked || this.#latest.length < 2) return;
    this.#isAsked = true;
    const [first = "", ...rest] = this.#latest;
    this.#latest = [...rest, first];
    this.ask(commonPssh(this.#latest));
  }

  stop(): void {
    this.#plan += 1;
  }
}
