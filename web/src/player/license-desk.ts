// The license desk: carries the browser's challenge to the service and the answer back.
//
// The first request goes to the ticket's license URL, whose token lives 30 seconds and answers
// each key once. Every later one (a new key, a renewal) goes to the session form of the URL,
// where the sign-in cookie is the credential. Both are opaque bytes to this page, but that it reads
// in a ClearKey challenge which keys are asked for: where keys change, the service says when to ask
// for the next ones, so that not all viewers ask at once.

import { Refusal, unexpectedAnswer } from "../service/problem";
import { persist, type RetryPorts } from "../service/retry";
import { isStale, renewalUrl, type Ticket } from "../service/ticket";
import { askedKeys, isFollowUp } from "./asked-keys";
import { licenseState, nextLicenseS, type LicenseState } from "./license-state";

/** What the desk needs of the world; tests bring their own. */
export interface DeskPorts extends RetryPorts {
  /** Sends the challenge; throws a `Refusal` unless it was answered. */
  post(url: string, challenge: ArrayBuffer): Promise<Response>;
  /** A new ticket for the same title. */
  freshTicket(): Promise<Ticket>;
}

/** What the desk tells the page. */
export interface DeskEvents {
  granted(state: LicenseState): void;
  /** The service says when to ask for the next keys: after so many seconds. */
  scheduled(afterS: number): void;
  waiting(retry: number, delayMs: number): void;
}

/** Answers are a few hundred bytes; anything near this is not a license. */
const MAX_LICENSE_BYTES = 1 << 20;

export class LicenseDesk {
  #ticket: Ticket;
  #hasLicense = false;
  /** The first request while it is on its way: its URL answers each key once, so others wait. */
  #first: Promise<unknown> | null = null;
  #challenge: ArrayBuffer | null = null;
  /** Keys that were asked for and answered, and until when more of them can wait. */
  readonly #asked = new Set<string>();
  #nextMs = 0;

  constructor(
    ticket: Ticket,
    private readonly ports: DeskPorts,
    private readonly events: DeskEvents,
  ) {
    this.#ticket = ticket;
  }

  /** The ticket in force: a refresh may have replaced the one the desk began with. */
  get ticket(): Ticket {
    return this.#ticket;
  }

  /** Asks for the license of a challenge, patiently, and not before the service wants it. */
  async acquire(challenge: ArrayBuffer): Promise<ArrayBuffer> {
    const keys = askedKeys(challenge);
    // Keys that follow those in use are no hurry: the license in use reaches into their time.
    while (this.#first !== null) await this.#first;
    const early = isFollowUp(keys, this.#asked) ? this.#nextMs - this.ports.now() : 0;
    if (early > 0) await this.ports.sleep(early);
    const asking = this.#ask(challenge);
    if (!this.#hasLicense) this.#first = asking.catch(() => undefined).then(() => (this.#first = null));
    const license = await asking;
    for (const key of keys) this.#asked.add(key);
    return license;
  }

  /**
   * Asks again for the license in use, before it ends. ClearKey modules keep no clock, so
   * only the permission counts and the answer's bytes are dropped.
   */
  async renew(): Promise<void> {
    if (this.#challenge !== null) await this.#ask(this.#challenge);
  }

  async #ask(challenge: ArrayBuffer): Promise<ArrayBuffer> {
    const response = await persist(
      () => this.#attempt(challenge),
      this.ports,
      (retry, delayMs) => this.events.waiting(retry, delayMs),
    );
    const license = await response.arrayBuffer();
    if (license.byteLength > MAX_LICENSE_BYTES) throw unexpectedAnswer(response.status);
    this.#hasLicense = true;
    this.#challenge = challenge;
    const state = licenseState((name) => response.headers.get(name));
    if (state !== null) this.events.granted(state);
    const afterS = nextLicenseS((name) => response.headers.get(name));
    if (afterS !== null) {
      this.#nextMs = this.ports.now() + afterS * 1000;
      this.events.scheduled(afterS);
    }
    return license;
  }

  /** Takes a new stream slot after the old one was given up; the license stays in use. */
  async reopen(): Promise<void> {
    this.#ticket = await persist(
      () => this.ports.freshTicket(),
      this.ports,
      (retry, delayMs) => this.events.waiting(retry, delayMs),
    );
  }

  async #attempt(challenge: ArrayBuffer): Promise<Response> {
    if (!this.#hasLicense && isStale(this.#ticket, this.ports.now())) await this.#refresh();
    try {
      return await this.#post(challenge);
    } catch (error) {
      // A credential that ended on the way (a slept laptop, a lapsed lease): ask the service
      // once whether this viewer may still watch. It says so, or gives the reason.
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      await this.#refresh();
      return await this.#post(challenge);
    }
  }

  #post(challenge: ArrayBuffer): Promise<Response> {
    const url = this.#hasLicense ? renewalUrl(this.#ticket) : this.#ticket.licenseUrl;
    return this.ports.post(url, challenge);
  }

  async #refresh(): Promise<void> {
    this.#ticket = await this.ports.freshTicket();
    this.#hasLicense = false;
  }
}
