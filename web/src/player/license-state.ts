// What the page shows of a license. It comes from the answer's headers: the license itself
// is for the browser's decryption module and stays unread (requirement R104).

import { roughDuration } from "../time";

/** What the license answer's headers say. */
export interface LicenseState {
  /** Security level the service could prove: L1, L2 or L3. */
  readonly level: string;
  /** Track classes whose keys were given. */
  readonly classes: readonly string[];
  /** When the license ends, ms since the epoch; `null` when it does not. */
  readonly expiresMs: number | null;
}

/** Reads the headers; `null` where the answer carries none. */
export function licenseState(header: (name: string) => string | null): LicenseState | null {
  const level = header("X-Strongroom-Security-Level");
  if (level === null) return null;
  const classes = header("X-Strongroom-Track-Classes") ?? "";
  const expires = header("X-Strongroom-License-Expires");
  return {
    level,
    classes: classes.split(",").map((name) => name.trim()).filter((name) => name !== ""),
    expiresMs: expires !== null && /^\d{1,15}$/.test(expires) ? Number(expires) : null,
  };
}

/** When to ask for the next keys of a title whose keys change, seconds; `null`: not told. */
export function nextLicenseS(header: (name: string) => string | null): number | null {
  const after = header("Strongroom-Next-License");
  return after !== null && /^\d{1,9}$/.test(after) ? Number(after) : null;
}

const LEVELS: Readonly<Record<string, string>> = {
  L1: "L1 · decrypted and decoded in secure hardware",
  L2: "L2 · decrypted in secure hardware",
  L3: "L3 · decrypted in software",
};

const CLASSES: Readonly<Record<string, string>> = {
  AUDIO: "Audio",
  SD: "SD",
  HD: "HD",
  UHD: "Ultra HD",
};

/** The level in words. */
export function levelText(state: LicenseState): string {
  return LEVELS[state.level] ?? state.level;
}

/** The allowed track classes in words. */
export function classesText(state: LicenseState): string {
  return state.classes.map((name) => CLASSES[name] ?? name).join(", ") || "None";
}

/** When the license ends, in words. */
export function expiryText(state: LicenseState, nowMs: number): string {
  if (state.expiresMs === null) return "No end";
  if (state.expiresMs <= nowMs) return "Ended";
  return `In ${roughDuration((state.expiresMs - nowMs) / 1000)}`;
}
