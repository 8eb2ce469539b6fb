import assert from "node:assert/strict";
import { test } from "node:test";
import { EmeKeeper } from "../src/offline/kept-license";
import { Refusal } from "../src/service/problem";

const text = (bytes: ArrayBuffer | ArrayBufferView) => new TextDecoder().decode(bytes);
const bytes = (words: string) => new TextEncoder().encode(words).buffer as ArrayBuffer;

/** A module whose sessions say what they are asked, and do what the test wants of them. */
function moduleWith(wants: {
  status?: MediaKeyStatus;
  expiration?: number;
  refuses?: boolean;
  isGone?: boolean;
  rounds?: number;
}) {
  const said: string[] = [];
  class Session extends EventTarget {
    sessionId = "";
    expiration = wants.expiration ?? Number.NaN;
    readonly keyStatuses = new Map<string, MediaKeyStatus>();
    #close: () => void = () => undefined;
    readonly closed = new Promise<void>((close) => (this.#close = close));
    #left = wants.rounds ?? 1;

    async generateRequest(type: string, initData: Uint8Array) {
      said.push(`request ${type} ${text(initData)}`);
      this.sessionId = "kept";
      this.#say("challenge");
    }
    async update(answer: ArrayBuffer) {
      said.push(`update ${text(answer)}`);
      if (wants.refuses === true) throw new DOMException("no key", "InvalidAccessError");
      this.#left -= 1;
      if (this.#left > 0) return this.#say("challenge");
      this.keyStatuses.set("kid", wants.status ?? "usable");
    }
    async load(sessionId: string) {
      said.push(`load ${sessionId}`);
      this.sessionId = sessionId;
      return wants.isGone !== true;
    }
    async remove() {
      said.push("remove");
      this.#say("release");
    }
    async close() {
      said.push("close");
      this.#close();
    }
    #say(words: string) {
      const event = Object.assign(new Event("message"), { message: bytes(words) });
      setTimeout(() => this.dispatchEvent(event));
    }
  }
  const keys = {
    createSession: (type: string) => {
      said.push(`session ${type}`);
      return new Session();
    },
    setServerCertificate: async (certificate: ArrayBuffer) => {
      said.push(`certificate ${text(certificate)}`);
      return true;
    },
  };
  const access = { createMediaKeys: async () => keys } as unknown as MediaKeySystemAccess;
  const keeper = new EmeKeeper(access, async () => bytes("of the service"));
  const post = async (message: ArrayBuffer) => {
    said.push(`post ${text(message)}`);
    return bytes("license");
  };
  const noted = async ({ sessionId, initData }: { sessionId: string; initData: string }) => {
    said.push(`noted ${sessionId} ${initData}`);
  };
  return { keeper, post, noted, said };
}

const BOX = btoa("box");

test("a license is asked for, and its session written down before it is used", async () => {
  const { keeper, post, noted, said } = moduleWith({ expiration: 5_000 });
  assert.deepEqual(await keeper.acquire(BOX, post, noted), { isOpen: true, endsMs: 5_000 });
  assert.deepEqual(said, [
    "certificate of the service", "session persistent-license", "request cenc box",
    `noted kept ${BOX}`, "post challenge", "update license", "close",
  ]);
});

test("a module that asks twice is answered twice", async () => {
  const { keeper, post, noted, said } = moduleWith({ rounds: 2 });
  assert.deepEqual(await keeper.acquire(BOX, post, noted), { isOpen: true, endsMs: null });
  assert.equal(said.filter((one) => one === "post challenge").length, 2);
});

test("a license that the module refuses, or whose keys it may not use, opens nothing", async () => {
  for (const wants of [{ refuses: true }, { status: "output-restricted" }, { status: "expired" }] as const) {
    const { keeper, post, noted, said } = moduleWith(wants);
    assert.equal((await keeper.acquire(BOX, post, noted)).isOpen, false);
    assert.equal(said.at(-1), "close");
  }
});

test("what the service refuses ends the session and is told", async () => {
  const no = new Refusal({ sentence: "no", code: "offline_not_allowed", status: 403 });
  const { keeper, noted, said } = moduleWith({});
  await assert.rejects(keeper.acquire(BOX, async () => { throw no; }, noted), no);
  assert.deepEqual(said.slice(-2), [`noted kept ${BOX}`, "close"]);
});

test("a license is wiped, and then the service hears of it", async () => {
  const { keeper, post, said } = moduleWith({});
  await keeper.giveBack({ sessionId: "kept", initData: BOX }, post);
  assert.deepEqual(said.slice(2), ["load kept", "remove", "post release", "update license", "close"]);
});

test("where the service does not hear of it the caller is told; where none is kept nothing is said", async () => {
  const lost = new Refusal({ sentence: "no", code: "network", status: 0 });
  const { keeper, said } = moduleWith({});
  const failing = keeper.giveBack({ sessionId: "kept", initData: BOX }, async () => { throw lost; });
  await assert.rejects(failing, lost);
  assert.ok(said.includes("remove"));
  const gone = moduleWith({ isGone: true });
  await gone.keeper.giveBack({ sessionId: "kept", initData: BOX }, gone.post);
  assert.deepEqual(gone.said.slice(1), ["session persistent-license", "load kept"]);
});
