// The watch page offers the subtitles, and shows them when they are due.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { account, beginAtStart, closeBrowser, firstTitle, openAs, watchPath, withPage } from "./demo";
import { assertSubtitle } from "./subtitles";

after(closeBrowser);

for (const scheme of ["cbcs", "cenc"] as const) {
  test(`the viewer turns subtitles on and off beside the ${scheme} set`, async () => {
    await withPage(async (page) => {
      await openAs(page, account("entitled"), watchPath(firstTitle(), scheme));
      await beginAtStart(page);
      const menu = page.getByLabel("Subtitles");
      await menu.waitFor();
      assert.deepEqual(await menu.locator("option").allTextContents(), ["Off", "English", "Deutsch"]);
      assert.equal(await menu.inputValue(), "off");
      await menu.selectOption("en");
      await assertSubtitle(page, "You are watching a short film", 2.8);
      await menu.selectOption("de");
      await assertSubtitle(page, "Sie sehen einen kurzen Film", 2.8);
      await menu.selectOption("off");
      const areOff = () =>
        [...(document.querySelector("video")?.textTracks ?? [])].every(
          (track) => track.mode !== "showing",
        );
      await page.waitForFunction(areOff);
    });
  });
}
