// What a player's page is given: the answer of `GET /api/v1/playback/token/{contentId}`.

export interface TokenAnswer {
  readonly session_id: string;
  /** Whether the title is a live event. */
  readonly live?: boolean;
  readonly license: { readonly clearkey: string };
  readonly manifest: { readonly dash: string; readonly hls: string };
}

/** The tracks beside the picture, by their languages. */
export interface Tracks {
  audio(): string[];
  chooseAudio(language: string): void;
  subtitles(): string[];
  chooseSubtitles(language: string): void;
  /** Columns of the thumbnail of a time; `null` without one. */
  thumbnailWidth(seconds: number): Promise<number | null>;
}

export type Start = (ticket: TokenAnswer, scheme: string) => void;

/**
 * The license URL whose credential is the sign-in's cookie: keys that change are asked for again
 * and again, where the token of the other URL answers each key once.
 */
export function sessionUrl(ticket: TokenAnswer): string {
  const url = new URL(ticket.license.clearkey);
  url.search = "";
  url.searchParams.set("session", ticket.session_id);
  return url.href;
}

/** The page's video element. */
export function video(): HTMLVideoElement {
  const found = document.querySelector("video");
  if (found === null) throw new Error("no video element");
  return found;
}

/** Where a player lays subtitles over the video that are no cues of the browser. */
export function overlay(): HTMLDivElement {
  const found = document.querySelector<HTMLDivElement>("#subtitles");
  if (found === null) throw new Error("no overlay");
  return found;
}

/** Makes the page's player callable by the test. */
export function offer(start: Start): void {
  Object.assign(window, { start });
}

/** Makes the player's tracks callable by the test. */
export function offerTracks(tracks: Tracks): void {
  Object.assign(window, { tracks });
}

/** The first of a player's tracks in a language. */
export function ofLanguage<T extends { lang?: string | null; language?: string }>(
  tracks: readonly T[],
  language: string,
): T {
  const found = tracks.find((track) => (track.language ?? track.lang) === language);
  if (found === undefined) throw new Error(`no track in ${language}`);
  return found;
}
