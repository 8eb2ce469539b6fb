import assert from "node:assert/strict";
import { test } from "node:test";
import { AskAhead } from "../src/player/ask-ahead";
import { commonPssh, keysOf } from "../src/player/shared-init-data";

const KEYS = ["a", "b", "c"].map((digit) => digit.repeat(32));

/** Keys asked for, and a clock that a sleeper moves when it is let go. */
function ahead() {
  const asked: string[][] = [];
  const sleepers: (() => void)[] = [];
  const made = new AskAhead(
    { now: () => 0, sleep: () => new Promise((wake) => void sleepers.push(wake)) },
    (initData) => {
      asked.push(keysOf(initData));
      made.saw(initData);
    },
  );
  const wake = async () => {
    sleepers.splice(0).forEach((one) => one());
    await new Promise((done) => setTimeout(done, 0));
  };
  return { made, asked, wake };
}

test("the keys in use are named once more, in another order, when the moment comes", async () => {
  const { made, asked, wake } = ahead();
  made.saw(commonPssh(KEYS));
  void made.plan(60);
  await wake();
  assert.equal(asked.length, 1);
  assert.notDeepEqual(asked[0], KEYS);
  assert.deepEqual([...(asked[0] ?? [])].sort(), KEYS);
  // What it named itself is nothing new.
  await wake();
  assert.equal(asked.length, 1);
});

test("what the stream named meanwhile is asked for by the player itself", async () => {
  const { made, asked, wake } = ahead();
  made.saw(commonPssh(KEYS.slice(0, 2)));
  void made.plan(60);
  made.saw(commonPssh(KEYS));
  await wake();
  assert.deepEqual(asked, []);
});

test("a newer plan takes the place of the older, and nothing is asked for after the end", async () => {
  const { made, asked, wake } = ahead();
  made.saw(commonPssh(KEYS));
  void made.plan(60);
  void made.plan(90);
  await wake();
  assert.equal(asked.length, 1);
  void made.plan(60);
  made.stop();
  await wake();
  assert.equal(asked.length, 1);
});

test("keys are read out of the first common box, and out of nothing that is torn", () => {
  const box = commonPssh(KEYS);
  const other = box.slice();
  other[12] = 0xed;
  const both = new Uint8Array([...other, ...box]);
  assert.deepEqual(keysOf(both), KEYS);
  for (let length = 0; length < box.length; length += 1) {
    assert.deepEqual(keysOf(box.subarray(0, length)), []);
  }
  const lies = box.slice();
  new DataView(lies.buffer).setUint32(28, 0xffff_ffff);
  assert.equal(keysOf(lies).length, 3);
});
