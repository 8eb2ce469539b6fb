// Saves the picture of the playing page that README shows: `npm run screenshot`.

import { join } from "node:path";
import { account, beginAtStart, closeBrowser, firstTitle, signInAndOpen, watchPath, withPage } from "./demo";
import { playFor } from "./picture";

const PATH = join(process.env["STRONGROOM_WEB"] ?? ".", "..", "docs", "playing.png");

await withPage(
  async (page) => {
    await signInAndOpen(page, account("entitled"), watchPath(firstTitle()));
    await beginAtStart(page);
    await playFor(page, 4);
    // A sign of the viewer shows the controls.
    await page.mouse.move(640, 400);
    await page.waitForTimeout(400);
    await page.screenshot({ path: PATH });
  },
  { viewport: { width: 1120, height: 884 } },
);
await closeBrowser();
console.log(`saved ${PATH}`);
