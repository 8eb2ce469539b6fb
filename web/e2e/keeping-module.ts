// A stand-in for a decryption module that keeps licenses. No open module offers sessions of the type
// `persistent-license` in a desktop Chromium, so a script of the test lays one over Clear Key: it
// answers to Widevine's name, and writes the Clear Key license down where a real module would seal
// it. What it shows is the page: what it asks for, what it stores, what it does without network. The
// license side, with Widevine's own messages, a term and a count, is shown by the project's own
// module in `tests/play_offline.rs`.
//
// Its messages travel to the license URL for Widevine as the page sends them; from there the test
// takes a license request to the same service's URL for Clear Key, and answers a release itself.

import type { Page } from "playwright-core";

/** What the service was asked by the stand-in's messages. */
export interface Heard {
  requests: number;
  readonly released: string[];
  /** Whether the network is taken away: what the test answers by itself does not know it. */
  isAway: boolean;
}

/** Call before the page is opened. `asksToKeep`: the request says so, which Clear Key is refused. */
export async function standIn(page: Page, asksToKeep = false): Promise<Heard> {
  const heard: Heard = { requests: 0, released: [], isAway: false };
  await page.addInitScript(module);
  await page.route(/\/license\/widevine(\?|$)/, async (route) => {
    const request = route.request();
    if (request.method() !== "POST") return route.continue();
    const message = JSON.parse(request.postData() ?? "{}") as { kids?: string[]; release?: string };
    if (heard.isAway) return route.abort("internetdisconnected");
    if (message.release !== undefined) {
      heard.released.push(message.release);
      return route.fulfill({ body: "acknowledged" });
    }
    heard.requests += 1;
    const type = asksToKeep ? "persistent-license" : "temporary";
    return route.continue({
      url: request.url().replace("/license/widevine", "/license/clearkey"),
      postData: JSON.stringify({ kids: message.kids, type }),
    });
  });
  return heard;
}

/** Runs in the page. */
function module(): void {
  const NAME = "com.widevine.alpha";
  const STORE = "stand-in license ";
  const system = { access: navigator.requestMediaKeySystemAccess.bind(navigator) };

  /** A session over one of Clear Key's. */
  class KeptSession extends EventTarget {
    sessionId = "";
    readonly expiration = Number.NaN;
    closed: Promise<unknown>;
    #kids: string[] = [];
    #isReleasing = false;

    constructor(private readonly inner: MediaKeySession) {
      super();
      this.closed = inner.closed;
      inner.addEventListener("keystatuseschange", () => {
        this.dispatchEvent(new Event("keystatuseschange"));
      });
    }

    get keyStatuses(): MediaKeyStatusMap {
      return this.inner.keyStatuses;
    }

    async generateRequest(_type: string, initData: BufferSource): Promise<void> {
      this.sessionId = crypto.randomUUID();
      this.#kids = kidsOf(new Uint8Array(initData as ArrayBuffer));
      await this.#open();
      this.#say("license-request", { kids: this.#kids });
    }

    async update(answer: BufferSource): Promise<void> {
      if (this.#isReleasing) {
        localStorage.removeItem(STORE + this.sessionId);
        return this.inner.close();
      }
      await this.inner.update(answer);
      localStorage.setItem(STORE + this.sessionId, new TextDecoder().decode(answer));
    }

    async load(sessionId: string): Promise<boolean> {
      const kept = localStorage.getItem(STORE + sessionId);
      if (kept === null) return false;
      this.sessionId = sessionId;
      if (kept === "") return true;
      this.#kids = (JSON.parse(kept) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
      await this.#open();
      await this.inner.update(new TextEncoder().encode(kept));
      return true;
    }

    async remove(): Promise<void> {
      this.#isReleasing = true;
      localStorage.setItem(STORE + this.sessionId, "");
      this.#say("license-release", { release: this.sessionId });
    }

    close(): Promise<void> {
      return this.inner.close();
    }

    async #open(): Promise<void> {
      const kids = new TextEncoder().encode(JSON.stringify({ kids: this.#kids }));
      await this.inner.generateRequest("keyids", kids);
    }

    #say(messageType: MediaKeyMessageType, said: object): void {
      const message = new TextEncoder().encode(JSON.stringify(said)).buffer;
      setTimeout(() => {
        this.dispatchEvent(new MediaKeyMessageEvent("message", { messageType, message }));
      });
    }
  }

  /** The key ids in the data of a Widevine `pssh`: field 2, sixteen bytes each. */
  function kidsOf(box: Uint8Array): string[] {
    const kids: string[] = [];
    for (let at = 32; at + 18 <= box.length && box[at] === 0x12 && box[at + 1] === 0x10; at += 18) {
      const kid = String.fromCharCode(...box.subarray(at + 2, at + 18));
      kids.push(btoa(kid).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""));
    }
    return kids;
  }

  async function accessTo(asked: MediaKeySystemConfiguration): Promise<MediaKeySystemAccess> {
    const plain = (of: MediaKeySystemMediaCapability[] | undefined) =>
      (of ?? []).map(({ contentType }) => ({ contentType: contentType ?? "" }));
    const under = await system.access("org.w3.clearkey", [
      {
        initDataTypes: ["keyids"],
        videoCapabilities: plain(asked.videoCapabilities),
        audioCapabilities: plain(asked.audioCapabilities),
      },
    ]);
    const createMediaKeys = async () => {
      const keys = await under.createMediaKeys();
      const create = keys.createSession.bind(keys);
      Object.assign(keys, {
        createSession: () => new KeptSession(create()),
        setServerCertificate: async () => true,
      });
      return keys;
    };
    return { keySystem: NAME, getConfiguration: () => asked, createMediaKeys };
  }

  navigator.requestMediaKeySystemAccess = (name, configurations) => {
    const [first] = configurations;
    return name === NAME && first !== undefined ? accessTo(first) : system.access(name, configurations);
  };

  const ask = navigator.mediaCapabilities.decodingInfo.bind(navigator.mediaCapabilities);
  navigator.mediaCapabilities.decodingInfo = async (asked) => {
    const { keySystemConfiguration: keys, ...clear } = asked as MediaDecodingConfiguration & {
      keySystemConfiguration?: {
        keySystem: string;
        video?: { robustness?: string };
        audio?: { robustness?: string };
      };
    };
    if (keys?.keySystem !== NAME) return ask(asked);
    const { supported, smooth, powerEfficient } = await ask(clear);
    const of = (kind: "video" | "audio") => {
      const contentType = asked[kind]?.contentType;
      return contentType === undefined ? [] : [{ contentType, ...keys[kind] }];
    };
    const keySystemAccess = await accessTo({
      ...(keys as MediaKeySystemConfiguration),
      videoCapabilities: of("video"),
      audioCapabilities: of("audio"),
    });
    return { supported, smooth, powerEfficient, keySystemAccess } as MediaCapabilitiesDecodingInfo;
  };
}
