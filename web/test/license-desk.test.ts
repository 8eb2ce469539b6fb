import assert from "node:assert/strict";
import { test } from "node:test";
import { LicenseDesk } from "../src/player/license-desk";
import { Heartbeat } from "../src/player/heartbeat";
import { Refusal, UNAVAILABLE } from "../src/service/problem";
import { isStale, parseTicket, renewalUrl } from "../src/service/ticket";

const HOST = "http://h/license/clearkey";
const CHALLENGE = new TextEncoder().encode('{"kids":["AAAA"]}').buffer;

function answer(token: string, expiresMs: number) {
  return {
    session_id: `session-${token}`,
    expires_at: expiresMs,
    license: { clearkey: `${HOST}?token=${token}` },
    manifest: { dash: "http://h/v/t/~p/manifest.mpd" },
    heartbeat: { url: "http://h/beat", interval_s: 60 },
    resume_s: 12,
  };
}

function refused(status: number, code: string, retryAfter: string | null = null): Refusal {
  return new Refusal({ sentence: "no", code, status, retryAfter });
}

/** A desk at time 0 with the ticket `t0`; `script` answers each request in order. */
function desk(script: (Refusal | "ok")[], next: string | null = null) {
  const posted: string[] = [];
  const at: number[] = [];
  let now = 0;
  let tickets = 0;
  const scheduled: number[] = [];
  const made = new LicenseDesk(
    parseTicket(answer("t0", 30_000), 0),
    {
      now: () => now,
      random: () => 0,
      sleep: async (ms) => void (now += ms),
      post: async (url) => {
        posted.push(url.slice(HOST.length));
        at.push(now);
        const step = script.shift() ?? "ok";
        if (step !== "ok") throw step;
        const headers = new Headers({ "X-Strongroom-Security-Level": "L3" });
        if (next !== null) headers.set("Strongroom-Next-License", next);
        return new Response("{}", { headers });
      },
      freshTicket: async () => {
        tickets += 1;
        return parseTicket(answer(`t${tickets}`, now + 30_000), now);
      },
    },
    {
      granted: () => undefined,
      scheduled: (afterS) => void scheduled.push(afterS),
      waiting: () => undefined,
    },
  );
  return { desk: made, posted, at, scheduled, wait: (ms: number) => void (now += ms) };
}

test("a ticket is read strictly", () => {
  const ticket = parseTicket(answer("t", 20_000), 1_000);
  assert.equal(ticket.licenseUrlEndsMs, 20_000);
  assert.equal(renewalUrl(ticket), `${HOST}?session=session-t`);
  for (const broken of [null, 7, {}, { ...answer("t", 1), license: {} }, { ...answer("t", 1), expires_at: "x" }]) {
    assert.throws(() => parseTicket(broken, 0), { code: "unexpected_answer" });
  }
});

test("a page whose clock is far behind still knows the license URL's life", () => {
  const ticket = parseTicket(answer("t", 9_999_999), 1_000);
  assert.equal(isStale(ticket, 25_000), false);
  assert.equal(isStale(ticket, 26_001), true);
});

test("the first license takes the token, later ones the session", async () => {
  const { desk: d, posted } = desk([]);
  await d.acquire(CHALLENGE);
  await d.acquire(CHALLENGE);
  await d.renew();
  assert.deepEqual(posted, ["?token=t0", "?session=session-t0", "?session=session-t0"]);
});

test("a license URL with less than 5 s of life is replaced before it is used", async () => {
  const { desk: d, posted, wait } = desk([]);
  wait(25_001);
  await d.acquire(CHALLENGE);
  assert.deepEqual(posted, ["?token=t1"]);
  assert.equal(d.ticket.sessionId, "session-t1");
});

test("retries of a 503 that outlive the license URL ask for a fresh one", async () => {
  const busy = () => refused(503, "kms_unavailable", "12");
  const { desk: d, posted } = desk([busy(), busy(), busy()]);
  await d.acquire(CHALLENGE);
  // At 12 s and 24 s the first URL has enough life left, at 36 s it has none.
  assert.deepEqual(posted, ["?token=t0", "?token=t0", "?token=t0", "?token=t1"]);
});

test("a service that stays away ends in the agreed sentence", async () => {
  const busy = () => refused(503, "kms_unavailable", "1");
  const { desk: d, posted } = desk([busy(), busy(), busy(), busy()]);
  await assert.rejects(d.acquire(CHALLENGE), { sentence: UNAVAILABLE, code: "kms_unavailable" });
  assert.equal(posted.length, 4);
});

test("an expired token is replaced once, then its refusal stands", async () => {
  const { desk: d, posted } = desk([refused(401, "token_expired"), refused(401, "token_expired")]);
  await assert.rejects(d.acquire(CHALLENGE), { code: "token_expired" });
  assert.deepEqual(posted, ["?token=t0", "?token=t1"]);
});

test("a session that lapsed in a slept laptop comes back with a fresh token", async () => {
  const { desk: d, posted } = desk(["ok", refused(401, "token_invalid")]);
  await d.acquire(CHALLENGE);
  await d.acquire(CHALLENGE);
  assert.deepEqual(posted, ["?token=t0", "?session=session-t0", "?token=t1"]);
});

test("a refusal of rights is not argued with", async () => {
  const { desk: d, posted } = desk([refused(403, "subscription_inactive")]);
  await assert.rejects(d.acquire(CHALLENGE), { code: "subscription_inactive" });
  assert.deepEqual(posted, ["?token=t0"]);
});

test("a heartbeat outlives faults of the service, not a withdrawn right", async () => {
  const faults: (Refusal | number)[] = [
    refused(503, "overloaded"), refused(500, "internal"), refused(0, "network"), 30,
    refused(410, "device_inactive"),
  ];
  let ended: Refusal | undefined;
  let sent = 0;
  const beat = new Heartbeat(
    {
      report: () => ({ position_s: 1, state: "playing" }),
      send: async () => {
        sent += 1;
        const next = faults.shift() ?? 60;
        if (next instanceof Refusal) throw next;
        return next;
      },
      ended: (refusal) => (ended = refusal),
    },
    60,
  );
  beat.start();
  for (let i = 0; i < 4; i += 1) await beat.beat();
  assert.equal(ended?.code, "device_inactive");
  await beat.beat();
  assert.equal(sent, 5, "nothing is sent after the end");
});

/** A ClearKey challenge for these keys. */
function challenge(...kids: string[]): ArrayBuffer {
  return new TextEncoder().encode(JSON.stringify({ kids, type: "temporary" })).buffer;
}

test("keys that follow those in use are asked for when the service says, others at once", async () => {
  const { desk: d, at, scheduled, wait } = desk([], "400");
  await d.acquire(challenge("t1", "t2"));
  // The first batch: only the keys that name the tracks were asked for before.
  await d.acquire(challenge("t1", "t2", "a1", "a2", "b1", "b2"));
  wait(300_000);
  await d.acquire(challenge("t1", "t2", "b1", "b2", "c1", "c2"));
  // After a jump nothing of the batch is there.
  await d.acquire(challenge("t1", "t2", "x1", "x2", "y1", "y2"));
  assert.deepEqual(at, [0, 0, 400_000, 400_000]);
  assert.deepEqual(scheduled, [400, 400, 400, 400]);
});

test("a renewal waits for nobody, and what is no number is not obeyed", async () => {
  const { desk: d, at } = desk([], "400");
  await d.acquire(challenge("t1", "a1"));
  await d.renew();
  assert.deepEqual(at, [0, 0]);
  const { desk: other, at: times, scheduled } = desk([], "-7, soon");
  await other.acquire(challenge("t1", "a1"));
  await other.acquire(challenge("t1", "a1", "b1"));
  assert.deepEqual([times, scheduled], [[0, 0], []]);
});

test("a challenge that does not read is no hurry's matter: it goes at once", async () => {
  const { desk: d, at } = desk([], "400");
  for (const text of ["", "{}", "[]", '{"kids":7}', '{"kids":[7]}', "\u0000"]) {
    await d.acquire(new TextEncoder().encode(text).buffer);
  }
  assert.deepEqual(at, [0, 0, 0, 0, 0, 0]);
});

test("while the first request is on its way others wait, and go by the session", async () => {
  const { desk: d, posted } = desk([refused(503, "kms_unavailable", "1")]);
  const [a, b] = await Promise.all([
    d.acquire(challenge("t1", "t2")),
    d.acquire(challenge("t1", "t2", "a1", "a2", "b1", "b2")),
  ]);
  assert.ok(a.byteLength > 0 && b.byteLength > 0);
  assert.deepEqual(posted, ["?token=t0", "?token=t0", "?session=session-t0"]);
});

test("a first request that is refused lets the next one try", async () => {
  const { desk: d, posted } = desk([refused(403, "title_not_in_plan")]);
  const [first, second] = await Promise.allSettled([
    d.acquire(challenge("t1")),
    d.acquire(challenge("t1", "a1", "b1")),
  ]);
  assert.equal(first.status, "rejected");
  assert.equal(second.status, "fulfilled");
  assert.deepEqual(posted, ["?token=t0", "?token=t0"]);
});
