// Who may not watch sees no picture and reads why.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page, Route } from "playwright-core";
import {
  account, beginAtStart, closeBrowser, demo, fillSignIn, firstTitle, openAs, watchPath, withPage,
} from "./demo";
import { assertNoMatch } from "./picture";

after(closeBrowser);

const LICENSE = "**/license/clearkey?*";

test("a wrong password is refused in words", async () => {
  await withPage(async (page) => {
    await page.goto(`${demo.url}/sign-in`);
    await fillSignIn(page, account("entitled").name, "not the password");
    assert.match(await refusal(page), /\w+ \w+/);
    assert.match(await reference(page), /^sign_in_failed · \S+/);
    assert.equal(new URL(page.url()).pathname, "/sign-in");
  });
});

test("an account without the right plan sees no picture and reads so", async (t) => {
  await withPage(async (page) => {
    const title = firstTitle();
    const licenses = countRequests(page, /\/license\//);
    await openAs(page, account("not entitled"), watchPath(title));
    t.diagnostic(await refusal(page));
    assert.match(
      await reference(page),
      /^(subscription_inactive|title_not_in_plan|plan_not_entitled) · \S+/,
    );
    assert.equal(licenses(), 0);
    await assertNoMatch(page, title.source);
  });
});

for (const scheme of ["cbcs", "cenc"] as const) {
  test(`a wrong key shows no picture of the ${scheme} set, and the page says why`, async (t) => {
    await withPage(async (page) => {
      const title = firstTitle();
      await page.route(LICENSE, withWrongKeys);
      await openAs(page, account("entitled"), watchPath(title, scheme));
      await beginAtStart(page);
      const words = await refusal(page);
      t.diagnostic(words);
      assert.match(words, /cannot be decrypted/);
      await assertNoMatch(page, title.source);
    });
  });
}

test("a license URL that has expired opens nothing, and the page says why", async (t) => {
  await withPage(async (page) => {
    const title = firstTitle();
    await openAs(page, account("entitled"), "/");
    const old = await page.evaluate(async (id) => {
      const answer = await fetch(`/api/v1/playback/token/${id}`);
      return (await answer.json()) as { expires_at: number; license: { clearkey: string } };
    }, title.content_id);
    const token = new URL(old.license.clearkey).search;
    await new Promise((pass) => setTimeout(pass, old.expires_at - Date.now() + 1_000));
    // The page asks for a fresh URL once; it too is replaced by the old one.
    await page.route(LICENSE, (route) => {
      const url = new URL(route.request().url());
      url.search = token;
      return route.continue({ url: url.href });
    });
    const licenses = countRequests(page, /\/license\//);
    await page.goto(demo.url + watchPath(title));
    await beginAtStart(page);
    t.diagnostic(await refusal(page));
    assert.match(await reference(page), /^token_expired · \S+/);
    assert.equal(licenses(), 2);
    await assertNoMatch(page, title.source);
  });
});

test("a service that stays away ends in the agreed sentence after three retries", async () => {
  await withPage(async (page) => {
    const title = firstTitle();
    const times: number[] = [];
    await page.route(LICENSE, (route) => {
      times.push(Date.now());
      return route.fulfill({
        status: 503,
        headers: { "Retry-After": "1", "Content-Type": "application/problem+json" },
        body: JSON.stringify({
          status: 503, code: "kms_unavailable", detail: "busy", correlation_id: "c0ffee",
        }),
      });
    });
    await openAs(page, account("entitled"), watchPath(title));
    await beginAtStart(page);
    await page.getByText(/Trying again in \d+ s \(1 of 3\)/).waitFor();
    assert.equal(await refusal(page), "Playback unavailable, try again shortly");
    assert.equal(await reference(page), "kms_unavailable · c0ffee");
    assert.equal(times.length, 4);
    const waits = times.slice(1).map((at, i) => at - (times[i] ?? 0));
    assert.ok(waits.every((wait) => wait >= 1_000), `earlier than Retry-After: ${waits.join()}`);
    await assertNoMatch(page, title.source);
  });
});

test("one passing fault does not stop the picture", async () => {
  await withPage(async (page) => {
    let isFirst = true;
    await page.route(LICENSE, (route) => {
      if (!isFirst) return route.continue();
      isFirst = false;
      return route.fulfill({ status: 503, headers: { "Retry-After": "1" }, body: "" });
    });
    await openAs(page, account("entitled"), watchPath(firstTitle()));
    await beginAtStart(page);
    await page.waitForFunction(() => (document.querySelector("video")?.currentTime ?? 0) > 1);
  });
});

test("a browser without protected video is told so, and nothing is asked of the service", async () => {
  await withPage(async (page) => {
    await page.addInitScript(() => {
      navigator.requestMediaKeySystemAccess = () => Promise.reject(new Error("none"));
    });
    const tokens = countRequests(page, /\/playback\/token\//);
    await openAs(page, account("entitled"), watchPath(firstTitle()));
    assert.match(await refusal(page), /cannot decrypt/);
    assert.equal(await reference(page), "no_key_system");
    assert.equal(tokens(), 0);
  });
});

test("over a connection that is not secure the page says what to do", async () => {
  await withPage(async (page) => {
    await page.addInitScript(() => {
      Object.defineProperty(window, "isSecureContext", { value: false });
    });
    await openAs(page, account("entitled"), watchPath(firstTitle()));
    assert.match(await refusal(page), /with https/);
    assert.equal(await reference(page), "insecure_context");
  });
});

test("a title that is not there, and an unknown scheme, are refused in words", async () => {
  await withPage(async (page) => {
    await openAs(page, account("entitled"), "/watch/no-such-title");
    await page.getByText(/title_not_found/).waitFor();
    await page.goto(`${demo.url}${watchPath(firstTitle())}?scheme=rot13`);
    assert.match(await refusal(page), /rot13/);
  });
});

test("whoever is not signed in signs in first, and lands where they wanted", async () => {
  await withPage(async (page) => {
    const { name, password } = account("entitled");
    const wanted = demo.url + watchPath(firstTitle());
    await page.goto(wanted);
    await page.waitForURL(/\/sign-in\?/);
    await fillSignIn(page, name, password);
    await page.waitForURL(wanted);
  });
});

test("sign-in never leads to another site", async () => {
  await withPage(async (page) => {
    const { name, password } = account("entitled");
    await page.goto(`${demo.url}/sign-in?next=${encodeURIComponent("//evil.invalid/")}`);
    await fillSignIn(page, name, password);
    await page.getByRole("heading", { name: "Titles" }).waitFor();
    assert.equal(page.url(), `${demo.url}/`);
  });
});

function refusal(page: Page): Promise<string> {
  return page.getByRole("alert").locator(".sentence").innerText();
}

function reference(page: Page): Promise<string> {
  return page.getByRole("alert").locator(".reference").innerText();
}

function countRequests(page: Page, pattern: RegExp): () => number {
  let count = 0;
  page.on("request", (request) => {
    if (pattern.test(request.url())) count += 1;
  });
  return () => count;
}

/** Lets the request through and gives other keys for the same ids. */
async function withWrongKeys(route: Route): Promise<void> {
  const response = await route.fetch();
  const license = (await response.json()) as { keys: { k: string }[] };
  for (const key of license.keys) key.k = Buffer.alloc(16, 0x5a).toString("base64url");
  await route.fulfill({ response, json: license });
}
