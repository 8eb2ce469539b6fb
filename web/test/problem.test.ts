import assert from "node:assert/strict";
import { test } from "node:test";
import { playerRefusal, sentenceFor } from "../src/player/player-problem";
import { Refusal, refusalOf } from "../src/service/problem";

const none = () => null;

test("a problem document becomes its sentence, code and id", () => {
  const body = JSON.stringify({
    type: "urn:strongroom:problem:region_not_allowed",
    title: "Region not allowed",
    status: 451,
    detail: "This title is not available where you are.",
    code: "region_not_allowed",
    correlation_id: "0b1c",
  });
  const refusal = refusalOf(451, body, none);
  assert.equal(refusal.sentence, "This title is not available where you are.");
  assert.equal(refusal.reference, "region_not_allowed · 0b1c");
  assert.equal(refusal.isTransient, false);
});

test("an answer that is no problem document still says something", () => {
  for (const body of ["", "<html>", "null", "[]", "7", '{"detail":5}', "{"]) {
    const refusal = refusalOf(502, body, none);
    assert.equal(refusal.sentence, "The service refused this request (502).", body);
    assert.equal(refusal.code, "http_502");
    assert.equal(refusal.isTransient, true);
  }
});

test("an endless sentence is not shown", () => {
  const refusal = refusalOf(403, JSON.stringify({ detail: "x".repeat(5_000) }), none);
  assert.equal(refusal.sentence, "The service refused this request (403).");
});

test("the correlation id is found in the header too, and Retry-After is kept", () => {
  const headers: Record<string, string> = { "X-Correlation-Id": "h1", "Retry-After": "3" };
  const refusal = refusalOf(503, "{}", (name) => headers[name] ?? null);
  assert.equal(refusal.correlationId, "h1");
  assert.equal(refusal.retryAfter, "3");
});

test("a failed license request shows the license desk's refusal", () => {
  const cause = new Refusal({ sentence: "s", code: "token_expired", status: 401 });
  assert.equal(playerRefusal({ category: 6, code: 6007, data: [cause] }), cause);
  assert.equal(playerRefusal(cause), cause);
});

test("a refused manifest shows the service's words", () => {
  const body = JSON.stringify({ detail: "This link has ended.", code: "token_expired" });
  const data = ["http://h/manifest.mpd", 401, body, { "x-correlation-id": "e5" }, 0];
  const refusal = playerRefusal({ category: 1, code: 1001, data });
  assert.equal(refusal.sentence, "This link has ended.");
  assert.equal(refusal.reference, "token_expired · e5");
});

test("a bad answer without words gets the network sentence", () => {
  const refusal = playerRefusal({ category: 1, code: 1001, data: ["u", 500, "oops", {}, 0] });
  assert.equal(refusal.sentence, sentenceFor(1, 1001));
  assert.equal(refusal.code, "http_500");
});

test("a wrong key is told as what it is", () => {
  const refusal = playerRefusal({ category: 3, code: 3016, data: [3, null, ""] });
  assert.match(refusal.sentence, /cannot be decrypted/);
  assert.equal(refusal.code, "player_3016");
});

test("anything else thrown is a refusal too", () => {
  for (const thrown of [null, undefined, "x", new Error("y"), { code: 3 }]) {
    assert.equal(playerRefusal(thrown).code, "player");
  }
});
