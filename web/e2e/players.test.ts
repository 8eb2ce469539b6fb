// The same package plays in players that are not ours: dash.js, rx-player and hls.js.
//
// Beside the picture: the other language, the subtitles, the thumbnails.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { closeBrowser, firstTitle, withPage } from "./demo";
import { assertMatches, noteFrames, playFor } from "./picture";
import { begin, openPlayer, PLAYERS, tracks } from "./player-page";
import { assertSubtitle } from "./subtitles";

after(closeBrowser);

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
  test(`${name} changes the language, shows the subtitles and finds the thumbnails`, async () => {
    await withPage(async (page) => {
      const trouble = await openPlayer(page, file);
      const sound: string[] = [];
      page.on("response", (response) => {
        const found = /audio-([a-z]+)\/\d+\.m4s/.exec(response.url())?.[1];
        if (found !== undefined && response.ok()) sound.push(found);
      });
      await begin(page, firstTitle().content_id, "cbcs");
      await playFor(page, 1);
      const is = await tracks(page);
      assert.deepEqual([await is.audio(), await is.subtitles()], [["de", "en"], ["de", "en"]]);
      const first = sound[0];
      assert.ok(first === "de" || first === "en");
      const other = first === "de" ? "en" : "de";
      await is.chooseAudio(other);
      await playFor(page, 2);
      assert.ok(sound.includes(other), `sound that was fetched: ${sound.join()}`);
      await is.chooseSubtitles("de");
      await assertSubtitle(page, "Sie sehen einen kurzen Film", 2.8);
      await is.chooseSubtitles("en");
      await assertSubtitle(page, "You are watching a short film", 2.8);
      // hls.js has no call for thumbnails: it passes over the image playlist of the master.
      assert.equal(await is.thumbnailWidth(12), file === "hlsjs" ? null : 320);
      assert.deepEqual(trouble.refused, []);
    });
  });
}
