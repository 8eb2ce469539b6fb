// Whether this browser can keep a title: a DRM system of the service must keep licenses in it, and
// there must be a place for files. Clear Key keeps none: it attests no device, and the service
// refuses it.

/** A DRM system whose licenses a browser may keep, as EME, manifests and the service name it. */
export interface System {
  readonly dialect: string;
  readonly keySystem: string;
  readonly uuid: string;
  /** What the license message is sent as. */
  readonly contentType: string;
}

export const SYSTEMS: readonly System[] = [
  {
    dialect: "widevine",
    keySystem: "com.widevine.alpha",
    uuid: "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed",
    contentType: "application/octet-stream",
  },
];

/** Robustness that every device has. Player and downloads ask for the same: it chooses the CDM. */
export const ROBUSTNESS = { video: "SW_SECURE_DECODE", audio: "SW_SECURE_CRYPTO" } as const;

/** Codecs of a title, as RFC 6381 names them. */
export interface Codecs {
  readonly video: readonly string[];
  readonly audio: readonly string[];
}

/** A system that keeps licenses here. */
export interface Keeping {
  readonly system: System;
  readonly access: MediaKeySystemAccess;
}

/** Some browsers leave the request pending for ever when a module is missing. */
const ACCESS_TIMEOUT_MS = 5_000;

/** The first of the service's systems that keeps licenses of such a title; `null`: none does. */
export async function keepingOf(
  dialects: readonly string[],
  codecs: Codecs,
): Promise<Keeping | null> {
  if (!window.isSecureContext || !("caches" in window) || !("serviceWorker" in navigator)) return null;
  for (const system of SYSTEMS.filter(({ dialect }) => dialects.includes(dialect))) {
    const access = await accessOf(system, codecs);
    if (access !== null) return { system, access };
  }
  return null;
}

/** The access to a system that keeps licenses; `null` where the browser does not grant it. */
export async function accessOf(
  system: System,
  codecs: Codecs,
): Promise<MediaKeySystemAccess | null> {
  if (!("requestMediaKeySystemAccess" in navigator)) return null;
  const of = (kind: "video" | "audio") =>
    codecs[kind].map((codec) => ({
      contentType: `${kind}/mp4; codecs="${codec}"`,
      robustness: ROBUSTNESS[kind],
    }));
  const audio = of("audio");
  const access = navigator.requestMediaKeySystemAccess(system.keySystem, [
    {
      initDataTypes: ["cenc"],
      persistentState: "required",
      sessionTypes: ["persistent-license"],
      videoCapabilities: of("video"),
      ...(audio.length === 0 ? {} : { audioCapabilities: audio }),
    },
  ]);
  const timeout = new Promise<null>((give) => setTimeout(() => give(null), ACCESS_TIMEOUT_MS));
  return Promise.race([access.catch(() => null), timeout]);
}

/** Bytes that may still be stored here; `null` where the browser does not say. */
export async function freeBytes(): Promise<number | null> {
  const { quota, usage } = (await navigator.storage?.estimate?.()) ?? {};
  return quota === undefined || usage === undefined ? null : Math.max(0, quota - usage);
}
