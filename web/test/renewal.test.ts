import assert from "node:assert/strict";
import { test } from "node:test";
import { Renewal } from "../src/player/renewal";
import { Refusal } from "../src/service/problem";

const HOUR_MS = 3_600_000;

/** A renewal on a clock that only sleeping moves; `renew` is told the time. */
function renewal(renew: (self: Renewal, nowMs: number) => Promise<void> | void) {
  let now = 0;
  let slept = 0;
  const ended: [string, number][] = [];
  const made: Renewal = new Renewal(
    {
      now: () => now,
      sleep: async (ms) => {
        slept = Math.max(slept, ms);
        now += ms;
      },
    },
    async () => renew(made, now),
    (refusal) => ended.push([refusal.code, now]),
  );
  return { made, ended, longestSleep: () => slept };
}

test("a license is renewed a minute before its end", async () => {
  const at: number[] = [];
  const { made, ended } = renewal((self, now) => {
    at.push(now);
    self.stop();
  });
  await made.plan(HOUR_MS);
  assert.deepEqual(at, [HOUR_MS - 60_000]);
  assert.deepEqual(ended, []);
});

test("a granted renewal goes by its own end", async () => {
  const at: number[] = [];
  const { made, ended } = renewal((self, now) => {
    at.push(now);
    if (at.length === 1) void self.plan(2 * HOUR_MS);
    else self.stop();
  });
  await made.plan(HOUR_MS);
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(at, [HOUR_MS - 60_000, 2 * HOUR_MS - 60_000]);
  assert.deepEqual(ended, []);
});

test("a refused renewal ends the film when the license ends, not before", async () => {
  const { made, ended } = renewal(() => {
    throw new Refusal({ sentence: "no", code: "subscription_inactive", status: 403 });
  });
  await made.plan(HOUR_MS);
  assert.deepEqual(ended, [["subscription_inactive", HOUR_MS]]);
});

test("an end that the service does not move is met without a storm of requests", async () => {
  let count = 0;
  const { made, ended } = renewal((self) => {
    count += 1;
    void self.plan(HOUR_MS);
  });
  await made.plan(HOUR_MS);
  await new Promise((done) => setImmediate(done));
  assert.ok(count <= 4, `${count} renewals`);
  assert.deepEqual(ended, [["license_ended", HOUR_MS]]);
});

test("a very long license is waited for in parts a browser timer can take", async () => {
  const { made, longestSleep } = renewal((self) => self.stop());
  await made.plan(90 * 24 * HOUR_MS);
  assert.equal(longestSleep(), 2 ** 31 - 1);
});
