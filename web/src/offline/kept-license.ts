// Licenses that the browser's decryption module keeps (W3C EME, `persistent-license` sessions).
// Messages and answers pass as bytes: no key is ever here.

import type { KeptSession } from "./record";

/** How long a module may take to say something. */
const PATIENCE_MS = 20_000;

/** Sends a message to the service and brings its answer. */
export type Post = (message: ArrayBuffer) => Promise<ArrayBuffer>;

/** A license that was asked for. */
export interface Asked {
  /** Whether it opens anything here. */
  readonly isOpen: boolean;
  /** Until when, ms since the epoch, where the module says so. */
  readonly endsMs: number | null;
}

/** What a download needs of the decryption module; tests bring their own. */
export interface LicenseKeeper {
  /** Asks for a license that is kept. `noted` writes the session down before the answer is used. */
  acquire(initData: string, post: Post, noted: (session: KeptSession) => Promise<void>): Promise<Asked>;
  /**
   * Wipes a kept license and has the service hear of it. Does nothing where none is kept. Throws
   * what `post` threw: the module then still knows that it owes the message.
   */
  giveBack(session: KeptSession, post: Post): Promise<void>;
}

export class EmeKeeper implements LicenseKeeper {
  #keys: Promise<MediaKeys> | null = null;

  /** `certificate` brings the service's certificate, with which the module hides who it is. */
  constructor(
    private readonly access: MediaKeySystemAccess,
    private readonly certificate: () => Promise<ArrayBuffer | null>,
  ) {}

  async acquire(
    initData: string,
    post: Post,
    noted: (session: KeptSession) => Promise<void>,
  ): Promise<Asked> {
    const session = (await this.#mediaKeys()).createSession("persistent-license");
    const conversation = new Conversation(session, post, () =>
      noted({ sessionId: session.sessionId, initData }),
    );
    try {
      await session.generateRequest("cenc", bytesOf(initData));
      await conversation.until(() => conversation.isRefused || session.keyStatuses.size > 0);
      let isOpen = false;
      session.keyStatuses.forEach((status) => (isOpen ||= status === "usable"));
      return { isOpen, endsMs: Number.isFinite(session.expiration) ? session.expiration : null };
    } finally {
      await conversation.end();
    }
  }

  async giveBack({ sessionId }: KeptSession, post: Post): Promise<void> {
    const session = (await this.#mediaKeys()).createSession("persistent-license");
    if (!(await session.load(sessionId))) return;
    const conversation = new Conversation(session, post, async () => undefined);
    let isClosed = false;
    void session.closed.then(() => (isClosed = true));
    try {
      await session.remove();
      await conversation.until(() => isClosed || conversation.answered > 0);
    } finally {
      await conversation.end();
    }
  }

  #mediaKeys(): Promise<MediaKeys> {
    this.#keys ??= this.access.createMediaKeys().then(async (keys) => {
      const certificate = await this.certificate().catch(() => null);
      if (certificate !== null) await keys.setServerCertificate(certificate).catch(() => false);
      return keys;
    });
    return this.#keys;
  }
}

/** What a session and the service say to each other. */
class Conversation {
  answered = 0;
  /** The module took an answer for no license of its: one without any key. */
  isRefused = false;
  #failure: unknown = null;
  #wake: () => void = () => undefined;
  #turn: Promise<void> = Promise.resolve();
  readonly #hear = (event: MediaKeyMessageEvent) => {
    this.#turn = this.#turn.then(() => this.#answer(event.message)).finally(() => this.#wake());
  };
  readonly #see = () => this.#wake();

  constructor(
    private readonly session: MediaKeySession,
    private readonly post: Post,
    private readonly before: () => Promise<void>,
  ) {
    session.addEventListener("message", this.#hear);
    session.addEventListener("keystatuseschange", this.#see);
  }

  /** Ends the session; what is kept outlives it. */
  async end(): Promise<void> {
    this.session.removeEventListener("message", this.#hear);
    this.session.removeEventListener("keystatuseschange", this.#see);
    // One that never began cannot be closed.
    await this.session.close().catch(() => undefined);
  }

  /** Waits until `isDone`; not for ever. Throws what went wrong. */
  async until(isDone: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    for (let left = PATIENCE_MS; left > 0; left = deadline - Date.now()) {
      if (this.#failure !== null) throw this.#failure;
      if (isDone()) return;
      await new Promise<void>((wake) => {
        const timer = setTimeout(wake, left);
        this.#wake = () => {
          clearTimeout(timer);
          wake();
        };
        void this.session.closed.then(() => this.#wake());
      });
    }
  }

  async #answer(message: ArrayBuffer): Promise<void> {
    try {
      await this.before();
      const answer = await this.post(message);
      await this.session.update(answer).catch(() => (this.isRefused = true));
      this.answered += 1;
    } catch (error) {
      this.#failure ??= error;
    }
  }
}

export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
