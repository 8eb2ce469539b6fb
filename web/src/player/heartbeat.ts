// Heartbeats: keep the stream slot, remember the position, hear of a withdrawn right.

import type { NumberedReport, PlayerReport } from "../service/api";
import { Refusal } from "../service/problem";

/** What heartbeats need of the page. */
export interface HeartbeatPorts {
  report(): PlayerReport;
  /** Sends the report; answers the seconds until the next, or throws a `Refusal`. */
  send(report: NumberedReport): Promise<number>;
  /** The service has ended this viewing. */
  ended(refusal: Refusal): void;
}

export class Heartbeat {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isRunning = false;
  #seq = 0;

  constructor(
    private readonly ports: HeartbeatPorts,
    private intervalS: number,
  ) {}

  /** Reports now, and from then on at the interval the service asks for. May be repeated. */
  start(): void {
    this.#isRunning = true;
    void this.beat();
  }

  stop(): void {
    this.#isRunning = false;
    clearTimeout(this.#timer);
  }

  /** Reports now: the player's state changed. */
  async beat(): Promise<void> {
    if (!this.#isRunning) return;
    clearTimeout(this.#timer);
    try {
      this.#seq += 1;
      this.intervalS = await this.ports.send({ ...this.ports.report(), seq: this.#seq });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // A lost or delayed heartbeat is not the end: the lease outlives three of them. One that a
      // later one overtook has been answered by that.
      const isOvertaken = error.code === "sequence_out_of_order";
      const isRefused = error.status !== null && error.status >= 400 && error.status < 500;
      if (isRefused && error.status !== 429 && !isOvertaken) {
        this.stop();
        this.ports.ended(error);
      }
    }
    if (!this.#isRunning) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.beat(), this.intervalS * 1000);
  }
}
