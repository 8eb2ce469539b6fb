// The same package plays in players that are not ours: dash.js, rx-player and hls.js.
//
// Each plays from a page of its own (`players/*.ts`), laid on the service's origin so that the
// sign-in of the viewer is used, with nothing but the answer of the token call.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { account, closeBrowser, demo, firstTitle, openAs, withPage } from "./demo";
import type { Start, TokenAnswer } from "./players/ticket";
import { assertMatches, noteFrames, playFor } from "./picture";
import { assertCue, showSubtitles } from "./subtitles";

after(closeBrowser);

const WEB = process.env["STRONGROOM_WEB"] ?? ".";

const PLAYERS = { "dash.js": "dashjs", "rx-player": "rx", "hls.js": "hlsjs" } as const;

for (const [name, file] of Object.entries(PLAYERS)) {
  for (const scheme of ["cbcs", "cenc"] as const) {
    test(`${name} plays the ${scheme} set, and the picture is the clip's`, async (t) => {
      await withPage(async (page) => {
        const title = firstTitle();
        const trouble = await openPlayer(page, file);
        await begin(page, title.content_id, scheme);
        await noteFrames(page);
        try {
          await playFor(page, 3);
          const found = await assertMatches(page, title.source);
          if (file === "dashjs") await assertOneImageTrack(page);
          t.diagnostic(`differences: ${found.map((is) => is.toFixed(1)).join(", ")} grey levels`);
        } catch (error) {
          t.diagnostic(trouble.said.join("\n"));
          throw error;
        }
        assert.deepEqual(trouble.refused, []);
      });
    });
  }
}

for (const [name, file] of Object.entries(PLAYERS)) {
  test(`${name} lists the subtitles`, async () => {
    await withPage(async (page) => {
      await openPlayer(page, file);
      await begin(page, firstTitle().content_id, "cbcs");
      await page.waitForFunction(() => {
        const { subtitles } = window as unknown as { subtitles?: () => string[] };
        const tracks = [...(document.querySelector("video")?.textTracks ?? [])];
        const languages = subtitles?.() ?? tracks.map((track) => track.language);
        return languages.includes("en") && languages.includes("de");
      });
      if (file !== "hlsjs") return;
      await showSubtitles(page, "de");
      await assertCue(page, 3.4, "Sie sehen einen kurzen Film", 2.8);
    });
  });
}

/** Thumbnails are a track of their own beside the protected ones. */
async function assertOneImageTrack(page: Page): Promise<void> {
  const found = await page.evaluate(() => {
    const { imageTracks } = window as unknown as { imageTracks: () => number };
    return imageTracks();
  });
  assert.equal(found, 1);
}

/** What went wrong on a player's page so far. */
interface Trouble {
  /** License requests that were refused. */
  readonly refused: string[];
  /** What the player said on the console. */
  readonly said: string[];
}

/** Has the player's page play a title. */
async function begin(page: Page, contentId: string, scheme: string): Promise<void> {
  await page.evaluate(
    async (wanted) => {
      const answer = await fetch(`/api/v1/playback/token/${wanted.contentId}`);
      const { start } = window as unknown as { start: Start };
      start((await answer.json()) as TokenAnswer, wanted.scheme);
    },
    { contentId, scheme },
  );
}

/** Signs in and opens the player's page. */
async function openPlayer(page: Page, file: string): Promise<Trouble> {
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
