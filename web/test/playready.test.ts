import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { DOMParser } from "@xmldom/xmldom";

const MEDIA = join(process.env.STRONGROOM_WEB ?? ".", "../crates/media");
const SYSTEM = "9a04f07998404286ab92e65be0885f95";
const FORMAT = "com.microsoft.playready";

interface Read {
  keyId: Uint8Array | null;
  pssh: Uint8Array | null;
}

/** hls.js reads a PlayReady object out of the line of a playlist that carries it. */
let hlsReads: (object: string, method: string) => Read;

before(async () => {
  // It expects a browser.
  Object.assign(globalThis, { self: globalThis, DOMParser });
  const { LevelKey } = (await import("hls.js")) as unknown as {
    LevelKey: new (method: string, uri: string, format: string) => {
      getDecryptData(at: "initSegment"): Read | null;
    };
  };
  hlsReads = (object, method) => {
    const uri = `data:text/plain;charset=UTF-16;base64,${object}`;
    const read = new LevelKey(method, uri, FORMAT).getDecryptData("initSegment");
    assert.ok(read, "hls.js reads the key");
    return read;
  };
});

const hex = (bytes: Uint8Array | null): string => Buffer.from(bytes ?? []).toString("hex");

/** The PlayReady box of a file of boxes that the packager's tests write again byte for byte. */
function goldenBox(scheme: string): Buffer {
  const text = readFileSync(join(MEDIA, `tests/golden/shaka_pssh_${scheme}.txt`), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const boxes = lines.map((line) => Buffer.from(line, "base64"));
  const [box, ...more] = boxes.filter((one) => one.toString("hex", 12, 28) === SYSTEM);
  assert.ok(box && more.length === 0, scheme);
  return box;
}

test("hls.js finds the key id in the object that we write, in the right byte order", () => {
  const methods = { cenc: "SAMPLE-AES-CTR", cbcs: "SAMPLE-AES" };
  for (const [scheme, method] of Object.entries(methods)) {
    const box = goldenBox(scheme);
    const read = hlsReads(box.subarray(32).toString("base64"), method);
    assert.equal(hex(read.keyId), "000102030405060708090a0b0c0d0e0f", scheme);
    assert.equal(hex(read.pssh), hex(box), scheme);
  }
});

function snapshot(name: string): string {
  const folder = join(MEDIA, "src/manifest/snapshots");
  return readFileSync(join(folder, `media__manifest__tests__${name}.snap`), "utf8");
}

test("it finds the id of each line's key in our playlists", () => {
  for (const name of ["master", "master_cenc", "video", "single_file_audio", "iframes"]) {
    const text = snapshot(`${name}.m3u8`);
    const lines = text.split("\n").filter((line) => line.includes(`KEYFORMAT="${FORMAT}"`));
    assert.ok(lines.length > 0, name);
    for (const line of lines) {
      const [, method] = /METHOD=([^,]+)/.exec(line) ?? [];
      const [, object] = /URI="data:[^"]*;base64,([^"]+)"/.exec(line) ?? [];
      const [, kid] = /KEYID=0x([0-9a-fA-F]{32})/.exec(line) ?? [];
      assert.ok(method && object && kid, line);
      assert.equal(hex(hlsReads(object, method).keyId), kid.toLowerCase());
    }
  }
});

test("box, object and key id of each descriptor of our manifest are the same key's", () => {
  const text = snapshot("manifest.mpd");
  const sets = text.split("<AdaptationSet ").filter((set) => set.includes("<mspr:pro>"));
  assert.ok(sets.length > 1);
  for (const set of sets) {
    const [, kid] = /cenc:default_KID="([^"]+)"/.exec(set) ?? [];
    const [, object] = /<mspr:pro>([^<]+)</.exec(set) ?? [];
    const boxes = [...set.matchAll(/<cenc:pssh>([^<]+)</g)].map(([, box]) => box ?? "");
    assert.ok(kid && object);
    const read = hlsReads(object, "SAMPLE-AES");
    assert.equal(hex(read.keyId), kid.replaceAll("-", ""));
    const ours = boxes.map((box) => Buffer.from(box, "base64").toString("hex"));
    assert.equal(ours.filter((box) => box === hex(read.pssh)).length, 1);
  }
});
