// Can this browser play protected video at all? If not: why, in one sentence.

import { Refusal } from "../service/problem";

/** Common encryption schemes (ISO/IEC 23001-7) a package may hold. */
export type Scheme = "cbcs" | "cenc";

export const KEY_SYSTEM = "org.w3.clearkey";

/** Some browsers leave the request pending for ever when a module is missing. */
const ACCESS_TIMEOUT_MS = 5_000;

/** The schemes this browser decrypts; throws when there is none. */
export async function playableSchemes(): Promise<Scheme[]> {
  if (!window.isSecureContext) {
    throw obstacle(
      "insecure_context",
      "Protected video plays only over a secure connection. Open this page with https.",
    );
  }
  if (!("requestMediaKeySystemAccess" in navigator)) {
    throw obstacle(
      "no_eme",
      "This browser does not support protected video. Try a current Chrome, Edge or Firefox.",
    );
  }
  if (!("MediaSource" in window) && !("ManagedMediaSource" in window)) {
    throw obstacle(
      "no_mse",
      "This browser cannot stream video in parts. Try a current Chrome, Edge or Firefox.",
    );
  }
  const schemes: Scheme[] = [];
  for (const scheme of ["cbcs", "cenc"] as const) {
    if (await isPlayable(scheme)) schemes.push(scheme);
  }
  if (schemes.length === 0) {
    throw obstacle(
      "no_key_system",
      "This browser cannot decrypt H.264 video with the ClearKey system. Check that protected " +
        "content is allowed in its settings.",
    );
  }
  return schemes;
}

/**
 * The scheme to ask for: the wished one if it plays here; without a wish none (the service
 * chooses), unless this browser knows only one.
 */
export function chooseScheme(wish: string | null, playable: readonly Scheme[]): Scheme | null {
  if (wish === null) return playable.length === 1 ? (playable[0] ?? null) : null;
  const scheme = playable.find((known) => known === wish);
  if (scheme === undefined) {
    throw obstacle("scheme_not_playable", `This browser cannot play the “${wish}” encryption.`);
  }
  return scheme;
}

async function isPlayable(encryptionScheme: Scheme): Promise<boolean> {
  const access = navigator.requestMediaKeySystemAccess(KEY_SYSTEM, [
    {
      initDataTypes: ["cenc", "keyids"],
      videoCapabilities: [{ contentType: 'video/mp4; codecs="avc1.64001f"', encryptionScheme }],
      audioCapabilities: [{ contentType: 'audio/mp4; codecs="mp4a.40.2"', encryptionScheme }],
    },
  ]);
  const timeout = new Promise<null>((give) => setTimeout(() => give(null), ACCESS_TIMEOUT_MS));
  const found = await Promise.race([access.catch(() => null), timeout]);
  const video = found?.getConfiguration().videoCapabilities?.[0];
  // A browser that knows no schemes leaves the member out; those play cenc only.
  return found !== null && (video?.encryptionScheme ?? "cenc") === encryptionScheme;
}

function obstacle(code: string, sentence: string): Refusal {
  return new Refusal({ sentence, code, status: null });
}
