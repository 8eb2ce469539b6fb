import assert from "node:assert/strict";
import { test } from "node:test";
import { Heartbeat } from "../src/player/heartbeat";
import { Refusal } from "../src/service/problem";

/** A heartbeat whose answers are told beforehand: an interval, or a refusal's status and code. */
function heart(answers: (number | [number, string])[]) {
  const sent: number[] = [];
  const ended: string[] = [];
  const made = new Heartbeat(
    {
      report: () => ({ position_s: 1, state: "playing" }),
      send: async ({ seq }) => {
        sent.push(seq);
        const answer = answers.shift() ?? 60;
        if (typeof answer === "number") return answer;
        const [status, code] = answer;
        throw new Refusal({ sentence: "No.", status, code });
      },
      ended: (refusal) => ended.push(refusal.code),
    },
    60,
  );
  return { made, sent, ended };
}

/** Starts it and reports as often as asked. */
async function beat(times: number, answers: (number | [number, string])[]) {
  const { made, sent, ended } = heart(answers);
  made.start();
  for (let beats = 1; beats < times; beats += 1) await made.beat();
  made.stop();
  return { sent, ended };
}

test("each report has a higher number, also after one that was lost", async () => {
  const { sent, ended } = await beat(4, [60, [0, "network"], [429, "rate_limited"], 60]);
  assert.deepEqual(sent, [1, 2, 3, 4]);
  assert.deepEqual(ended, []);
});

test("a report that a later one overtook ends nothing", async () => {
  const { sent, ended } = await beat(3, [60, [409, "sequence_out_of_order"], 60]);
  assert.deepEqual(sent, [1, 2, 3]);
  assert.deepEqual(ended, []);
});

test("a right that was withdrawn ends the viewing, once", async () => {
  for (const refusal of [
    [410, "playback_ended"],
    [410, "subscription_inactive"],
    [423, "stream_limit_reached"],
    [401, "token_expired"],
  ] as [number, string][]) {
    const { sent, ended } = await beat(4, [60, refusal, 60, 60]);
    assert.deepEqual(sent, [1, 2]);
    assert.deepEqual(ended, [refusal[1]]);
  }
});
