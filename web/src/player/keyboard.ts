// Keys of the watch page.

/** What a key asks of the player. */
export type Command = "toggle" | "back" | "forward" | "louder" | "softer" | "mute" | "full-screen";

/** What has the focus, as far as keys care. */
export type Focus = "page" | "button" | "slider" | "menu";

const LETTERS: Readonly<Record<string, Command>> = { k: "toggle", m: "mute", f: "full-screen" };

const OTHERS: Readonly<Record<string, Command>> = {
  " ": "toggle",
  ArrowLeft: "back",
  ArrowRight: "forward",
  ArrowUp: "louder",
  ArrowDown: "softer",
};

/**
 * The command of a key, or `null` where it belongs to the focused control: a menu keeps every
 * key, a slider its arrows, a button its space.
 */
export function commandFor(key: string, focus: Focus): Command | null {
  if (focus === "menu") return null;
  const letter = LETTERS[key.toLowerCase()];
  if (letter !== undefined) return letter;
  if (focus === "slider" && key !== " ") return null;
  if (focus === "button" && key === " ") return null;
  return OTHERS[key] ?? null;
}

/** What kind of control `target` is. */
export function focusOf(target: EventTarget | null): Focus {
  if (target instanceof HTMLSelectElement) return "menu";
  if (target instanceof HTMLInputElement) return target.type === "range" ? "slider" : "menu";
  if (target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement) return "button";
  return "page";
}
