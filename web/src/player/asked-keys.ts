// Which keys a ClearKey challenge asks for (W3C EME, 9.1.3), for what is asked when.

/** More keys than this no challenge of ours names. */
const MAX_KEYS = 4096;

/** The key ids, base64url; none where the challenge is another system's or does not read. */
export function askedKeys(challenge: ArrayBuffer): string[] {
  let read: unknown;
  try {
    read = JSON.parse(new TextDecoder().decode(challenge));
  } catch {
    return [];
  }
  const kids = typeof read === "object" && read !== null && "kids" in read ? read.kids : null;
  if (!Array.isArray(kids)) return [];
  return kids.filter((kid): kid is string => typeof kid === "string").slice(0, MAX_KEYS);
}

/**
 * Whether most of `keys` were asked for before: the batch in use, and the next one behind it. A
 * first batch has only the keys in common that name the tracks.
 */
export function isFollowUp(keys: readonly string[], before: ReadonlySet<string>): boolean {
  return keys.filter((key) => before.has(key)).length * 2 > keys.length;
}
