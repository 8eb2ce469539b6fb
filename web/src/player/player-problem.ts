// The player's own errors as sentences for the viewer.

import { Refusal, refusalOf } from "../service/problem";

/** The parts of a Shaka error that are used here. */
interface PlayerError {
  readonly category: number;
  readonly code: number;
  readonly data: readonly unknown[];
}

/** Shaka's codes that have words of their own; its manual lists them all. */
const BAD_HTTP_STATUS = 1001;
const DECODE_FAILED = 3016;
const NO_PLAYABLE_VARIANT = 4012;
const NO_DECODABLE_VARIANT = 4032;
/** Of licenses that are kept. */
const SESSION_GONE = 6013;
const LICENSE_EXPIRED = 6014;
/** The page asked for H.264 before, and that was to be had: so it is this title's codec. */
const NO_KEY_SYSTEM_FOR_CODEC = 6001;

/** Shaka's categories. */
const NETWORK = 1;
const MANIFEST = 4;
const DRM = 6;

/** The refusal to show for anything the player throws. */
export function playerRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (!isPlayerError(error)) return refusal("The video cannot be played here.", "player");
  // A failed license request carries the license desk's own refusal.
  const cause = error.data.find((part) => part instanceof Refusal);
  if (cause instanceof Refusal) return cause;
  if (error.code === BAD_HTTP_STATUS) return refusalOfBadStatus(error);
  return refusal(sentenceFor(error.category, error.code), `player_${error.code}`);
}

/** What the viewer reads for a Shaka error. */
export function sentenceFor(category: number, code: number): string {
  if (code === DECODE_FAILED) {
    return "The picture cannot be decrypted: the key that was received does not fit this video.";
  }
  if (code === NO_PLAYABLE_VARIANT) {
    return "No quality of this title may be played on this device.";
  }
  if (code === NO_DECODABLE_VARIANT || code === NO_KEY_SYSTEM_FOR_CODEC) {
    return "This browser cannot decode the video of this title. Try another browser or device.";
  }
  if (code === SESSION_GONE) {
    return "The license of this download is not in this browser any more. Delete it and download it again.";
  }
  if (code === LICENSE_EXPIRED) {
    return "The term of this title's license is over. Connect and open it again, or download it again.";
  }
  switch (category) {
    case NETWORK:
      return "The video could not be loaded. Check your connection and try again.";
    case MANIFEST:
      return "This title is damaged or not ready to be played.";
    case DRM:
      return "The license for this video was not accepted by this browser.";
    default:
      return "The video cannot be played here.";
  }
}

/** Shaka puts the address, the status, the body and the headers of a bad answer in order. */
function refusalOfBadStatus(error: PlayerError): Refusal {
  const [, status, body, headers] = error.data;
  const answer = refusalOf(
    typeof status === "number" ? status : 0,
    typeof body === "string" ? body : "",
    (name) => headerOf(headers, name),
  );
  if (!answer.code.startsWith("http_")) return answer;
  return refusal(sentenceFor(error.category, error.code), answer.code);
}

function headerOf(headers: unknown, name: string): string | null {
  if (typeof headers !== "object" || headers === null) return null;
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name.toLowerCase());
  return typeof found?.[1] === "string" ? found[1] : null;
}

function isPlayerError(error: unknown): error is PlayerError {
  return (
    typeof error === "object" &&
    error !== null &&
    "category" in error &&
    "code" in error &&
    "data" in error &&
    typeof error.code === "number" &&
    typeof error.category === "number" &&
    Array.isArray(error.data)
  );
}

function refusal(sentence: string, code: string): Refusal {
  return new Refusal({ sentence, code, status: null });
}
