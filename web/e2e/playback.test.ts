// The main job in a real browser: sign in through the page, watch an encrypted picture.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import {
  account, beginAtStart, closeBrowser, firstTitle, openAs, secondTitle, signInAndOpen, watchPath,
  withPage,
} from "./demo";
import { logEme, readEmeLog } from "./eme-log";
import { assertMatches, noteFrames, playFor } from "./picture";

after(closeBrowser);

for (const scheme of ["cbcs", "cenc"] as const) {
  test(`an entitled account plays the ${scheme} set, and the picture is the clip's`, async (t) => {
    await withPage(async (page) => {
      const title = firstTitle();
      await signInAndOpen(page, account("entitled"), watchPath(title, scheme));
      await beginAtStart(page);
      await noteFrames(page);
      await playFor(page, 5);
      const found = await assertMatches(page, title.source);
      t.diagnostic(`differences: ${found.map((is) => is.toFixed(1)).join(", ")} grey levels`);
      await assertPanelShowsTheLicense(page);
    });
  });
}

test("the calls to the decryption module come in the order of the standard", async (t) => {
  await withPage(async (page) => {
    await logEme(page);
    await openAs(page, account("entitled"), watchPath(firstTitle()));
    await beginAtStart(page);
    await playFor(page, 1);
    const log = await readEmeLog(page);
    t.diagnostic(log.join(" → "));
    // The manifest says that the title is protected, so `encrypted` comes late and changes
    // nothing; where `setMediaKeys` falls is the player's choice.
    const order = [
      ...["requestMediaKeySystemAccess", "createMediaKeys", "createSession", "generateRequest"],
      ...["message", "license request", "update", "usable"],
    ];
    assert.ok(log.includes("setMediaKeys"));
    const places = order.map((name) => log.indexOf(name));
    assert.ok(places.every((place) => place >= 0), `missing: ${log.join(", ")}`);
    assert.deepEqual(places, [...places].sort((a, b) => a - b), log.join(" → "));
    // With one request for all keys, each key is asked for once.
    assert.equal(log.filter((name) => name === "license request").length, 1);
  });
});

test("a title with the default policy plays in SD, and HD is not even listed", async (t) => {
  await withPage(async (page) => {
    const title = secondTitle();
    await openAs(page, account("entitled"), watchPath(title));
    await beginAtStart(page);
    await noteFrames(page);
    const found = await assertMatches(page, title.source, 1);
    t.diagnostic(`difference: ${found.map((is) => is.toFixed(1)).join()} grey levels`);
    const panel = await page.getByRole("region", { name: "License" }).innerText();
    assert.match(panel, /Audio, SD$/m);
    const heights = await page.getByLabel("Quality").locator("option").allInnerTexts();
    assert.deepEqual(heights, ["Auto (360p)", "360p"]);
  });
});

test("a license is renewed by the sign-in, for its URL is spent", async () => {
  await withPage(async (page) => {
    const asked: { form: string; status: number }[] = [];
    await page.route("**/license/clearkey?*", async (route) => {
      const response = await route.fetch();
      const query = new URL(route.request().url()).searchParams;
      asked.push({ form: [...query.keys()].join(), status: response.status() });
      // The page renews at half of what it believes is left.
      const life = asked.length === 1 ? 12_000 : 3_600_000;
      const expires = { "x-strongroom-license-expires": String(Date.now() + life) };
      await route.fulfill({ response, headers: { ...response.headers(), ...expires } });
    });
    await openAs(page, account("entitled"), watchPath(firstTitle()));
    await beginAtStart(page);
    await playFor(page, 8);
    assert.deepEqual(asked, [
      { form: "token", status: 200 },
      { form: "session", status: 200 },
    ]);
  });
});

async function assertPanelShowsTheLicense(page: Page): Promise<void> {
  const panel = page.getByRole("region", { name: "License" });
  const text = await panel.innerText();
  assert.match(text, /L3/);
  assert.match(text, /Audio, SD, HD$/m);
  assert.match(text, /In \d+ (s|min|h|d)/);
}
