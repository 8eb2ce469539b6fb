// One license request for all keys of a title.
//
// The manifest names the key of each track and carries no `pssh`, which dash.js would choke on.
// Shaka makes one `pssh` a key out of that, and with it one license request a key. Here each is
// replaced by the same box that names every key of the manifest; Shaka then sees doubles and
// asks once.

/** The common system (W3C EME, "cenc" initialization data). */
const COMMON_SYSTEM = "1077efecc0b24d02ace33c1e52e2fb4b";

/**
 * The initialization data to use instead of `initData`: the box of all `kids` (32 hex digits
 * each) where it is the box of one of them, else itself (a key that comes later in the stream).
 */
export function sharedInitData(initData: Uint8Array, kids: readonly string[]): Uint8Array {
  const isOfManifest = kids.some((kid) => isEqual(commonPssh([kid]), initData));
  return isOfManifest ? commonPssh([...kids].sort()) : initData;
}

/** Most keys of one box that are looked at. */
const MAX_KEYS = 4096;

/** The keys that the first common box of initialization data names; none where there is none. */
export function keysOf(initData: Uint8Array): string[] {
  const view = new DataView(initData.buffer, initData.byteOffset, initData.byteLength);
  for (let at = 0; at + 32 <= initData.length; ) {
    const size = view.getUint32(at);
    if (size < 32 || at + size > initData.length) return [];
    const isCommon = hexOf(initData.subarray(at + 12, at + 28)) === COMMON_SYSTEM;
    if (isCommon && view.getUint8(at + 8) === 1) {
      const count = Math.min(view.getUint32(at + 28), MAX_KEYS, Math.floor((size - 32) / 16));
      return Array.from({ length: count }, (_, i) => {
        const from = at + 32 + 16 * i;
        return hexOf(initData.subarray(from, from + 16));
      });
    }
    at += size;
  }
  return [];
}

/** Writes a version 1 `pssh` box without data (ISO/IEC 23001-7:2016, 8.1). */
export function commonPssh(kids: readonly string[]): Uint8Array {
  const size = 32 + 16 * kids.length + 4;
  const box = new Uint8Array(size);
  const view = new DataView(box.buffer);
  view.setUint32(0, size);
  box.set(new TextEncoder().encode("pssh"), 4);
  view.setUint8(8, 1);
  box.set(bytesOfHex(COMMON_SYSTEM), 12);
  view.setUint32(28, kids.length);
  kids.forEach((kid, place) => box.set(bytesOfHex(kid), 32 + 16 * place));
  return box;
}

function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
