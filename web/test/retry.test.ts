import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal, UNAVAILABLE } from "../src/service/problem";
import { MAX_RETRIES, persist, retryAfterMs, retryDelay } from "../src/service/retry";

function refused(status: number, retryAfter: string | null = null): Refusal {
  return new Refusal({ sentence: "s", code: "overloaded", status, retryAfter, correlationId: "c1" });
}

/** A clock that sleeping moves. */
function ports(random = 0) {
  const slept: number[] = [];
  return {
    slept,
    now: () => 0,
    random: () => random,
    sleep: async (ms: number) => void slept.push(ms),
  };
}

test("Retry-After is read as seconds and as a date", () => {
  assert.equal(retryAfterMs("7", 0), 7_000);
  assert.equal(retryAfterMs(" 0 ", 0), 0);
  assert.equal(retryAfterMs("Thu, 01 Jan 1970 00:00:09 GMT", 4_000), 5_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 1970 00:00:09 GMT", 60_000), 0);
});

test("a Retry-After that is neither is ignored", () => {
  for (const header of [null, "", "soon", "-1", "1.5", "99999999999", "2020-01-01"]) {
    assert.equal(retryAfterMs(header, 0), null, String(header));
  }
});

test("a retry is never earlier than Retry-After, and jitter spreads it", () => {
  assert.equal(retryDelay(1, "10", 0, 0), 10_000);
  assert.equal(retryDelay(1, "10", 0.999, 0), 14_995);
  assert.equal(retryDelay(1, "0", 0.5, 0), 250, "a zero wait is spread too");
});

test("without Retry-After the wait doubles", () => {
  assert.deepEqual([1, 2, 3].map((retry) => retryDelay(retry, null, 0, 0)), [1_000, 2_000, 4_000]);
});

test("there is no fourth retry, and no wait of more than a minute", () => {
  assert.equal(retryDelay(MAX_RETRIES + 1, "1", 0, 0), null);
  assert.equal(retryDelay(1, "60", 0, 0), 60_000);
  assert.equal(retryDelay(1, "61", 0, 0), null);
});

test("persist gives the answer of the attempt that succeeds", async () => {
  const p = ports();
  const answers = [refused(503, "2"), refused(503, "3")];
  const told: number[] = [];
  const answer = await persist(
    async () => {
      const next = answers.shift();
      if (next !== undefined) throw next;
      return "license";
    },
    p,
    (retry) => told.push(retry),
  );
  assert.equal(answer, "license");
  assert.deepEqual(p.slept, [2_000, 3_000]);
  assert.deepEqual(told, [1, 2]);
});

test("after three retries the viewer reads the agreed sentence, with the last code and id", async () => {
  const p = ports();
  let attempts = 0;
  const failing = persist(
    async () => {
      attempts += 1;
      throw refused(503, "1");
    },
    p,
    () => undefined,
  );
  await assert.rejects(failing, (error: unknown) => {
    assert.ok(error instanceof Refusal);
    assert.equal(error.sentence, UNAVAILABLE);
    assert.equal(error.reference, "overloaded · c1");
    return true;
  });
  assert.equal(attempts, 4);
  assert.equal(p.slept.length, 3);
});

test("a refusal for good is not repeated", async () => {
  for (const status of [400, 401, 403, 404, 409, 451, 500]) {
    const p = ports();
    const refusal = refused(status);
    await assert.rejects(persist(async () => Promise.reject(refusal), p, () => undefined), refusal);
    assert.deepEqual(p.slept, [], String(status));
  }
});

test("a lost connection keeps its own words after the last retry", async () => {
  const lost = new Refusal({ sentence: "no connection", code: "network", status: 0 });
  await assert.rejects(persist(async () => Promise.reject(lost), ports(), () => undefined), lost);
});
