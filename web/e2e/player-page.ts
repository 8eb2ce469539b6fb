// Players that are not ours, each on a page of its own (`players/*.ts`), laid on the service's
// origin so that the sign-in of the viewer is used, with nothing but the answer of the token call.

import { join } from "node:path";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { account, demo, openAs } from "./demo";
import type { Start, TokenAnswer, Tracks } from "./players/ticket";

const WEB = process.env["STRONGROOM_WEB"] ?? ".";

/** Their names, and the files that drive them. */
export const PLAYERS = { "dash.js": "dashjs", "rx-player": "rx", "hls.js": "hlsjs" } as const;

/** What went wrong on a player's page so far. */
export interface Trouble {
  /** License requests that were refused. */
  readonly refused: string[];
  /** What the player said on the console. */
  readonly said: string[];
}

/** Has the player's page play a title. */
export async function begin(page: Page, contentId: string, scheme: string): Promise<void> {
  await page.evaluate(
    async (wanted) => {
      const answer = await fetch(`/api/v1/playback/token/${wanted.contentId}`);
      const ticket = (await answer.json()) as TokenAnswer;
      addEventListener("pagehide", () => {
        const slot = `/api/v1/playback/${ticket.session_id}`;
        void fetch(slot, { method: "DELETE", keepalive: true });
      });
      const { start } = window as unknown as { start: Start };
      start(ticket, wanted.scheme);
    },
    { contentId, scheme },
  );
}

/** Signs in and opens the player's page. */
export async function openPlayer(page: Page, file: string): Promise<Trouble> {
  const refused: string[] = [];
  const said: string[] = [];
  page.on("console", (message) => message.type() === "error" && said.push(message.text()));
  page.on("response", (response) => {
    if (response.url().includes("/license/") && !response.ok()) {
      refused.push(`${response.status()} ${response.request().postData() ?? ""}`);
    }
  });
  const folder = join(WEB, "e2e", "players");
  const bundle = await build({
    entryPoints: [join(folder, `${file}.ts`)],
    bundle: true,
    write: false,
    format: "iife",
    logLevel: "error",
  });
  const script = bundle.outputFiles[0]?.text ?? "";
  await page.route("**/players-under-test/*", (route) =>
    route.request().url().endsWith("/player.js")
      ? route.fulfill({ contentType: "text/javascript", body: script })
      : route.fulfill({ path: join(folder, "player.html") }),
  );
  await openAs(page, account("entitled"), "/");
  await page.goto(`${demo.url}/players-under-test/`);
  return { refused, said };
}

/** What the page's player plays beside the picture, and how to choose. */
export async function tracks(page: Page) {
  const offered = await page.waitForFunction(() => {
    const { tracks } = window as unknown as { tracks?: Tracks };
    // The lists come with the manifest, and in some players with the first segments.
    return tracks !== undefined && tracks.audio().length > 0 ? tracks : null;
  });
  const named = (languages: string[]) => [...new Set(languages)].sort();
  return {
    audio: async () => named(await offered.evaluate((is) => (is as Tracks).audio())),
    subtitles: async () => named(await offered.evaluate((is) => (is as Tracks).subtitles())),
    chooseAudio: (wanted: string) =>
      offered.evaluate((is, language) => (is as Tracks).chooseAudio(language), wanted),
    chooseSubtitles: (wanted: string) =>
      offered.evaluate((is, language) => (is as Tracks).chooseSubtitles(language), wanted),
    thumbnailWidth: (seconds: number) =>
      offered.evaluate((is, at) => (is as Tracks).thumbnailWidth(at), seconds),
  };
}
