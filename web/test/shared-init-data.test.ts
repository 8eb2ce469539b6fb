import assert from "node:assert/strict";
import { test } from "node:test";
import { commonPssh, sharedInitData } from "../src/player/shared-init-data";

const A = "0123456789abcdef0123456789abcdef";
const B = "fedcba9876543210fedcba9876543210";

test("the box is the standard's, byte for byte", () => {
  const expected =
    "0000003470737368010000001077efecc0b24d02ace33c1e52e2fb4b00000001" + A + "00000000";
  assert.equal(Buffer.from(commonPssh([A])).toString("hex"), expected);
});

test("every key of the manifest asks with the same box", () => {
  const fromA = sharedInitData(commonPssh([A]), [A, B]);
  const fromB = sharedInitData(commonPssh([B]), [B, A]);
  assert.deepEqual(fromA, fromB);
  assert.deepEqual(fromA, commonPssh([A, B]));
});

test("the box of a key that is not in the manifest stays as it is", () => {
  const later = commonPssh([B]);
  assert.equal(sharedInitData(later, [A]), later);
  const empty = new Uint8Array(0);
  assert.equal(sharedInitData(empty, [A]), empty);
});
