// What a player's page is given: the answer of `GET /api/v1/playback/token/{contentId}`.

export interface TokenAnswer {
  readonly license: { readonly clearkey: string };
  readonly manifest: { readonly dash: string; readonly hls: string };
}

export type Start = (ticket: TokenAnswer, scheme: string) => void;

/** The page's video element. */
export function video(): HTMLVideoElement {
  const found = document.querySelector("video");
  if (found === null) throw new Error("no video element");
  return found;
}

/** Makes the page's player callable by the test. */
export function offer(start: Start): void {
  Object.assign(window, { start });
}
