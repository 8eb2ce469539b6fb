// The running demo these tests look at, and a fresh browser for each of them.
//
// `STRONGROOM_DEMO` names a file with the line that `strongroom demo --json` printed.

import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import type { Browser, BrowserContextOptions, Cookie, Page } from "playwright-core";

export interface Account {
  readonly name: string;
  readonly password: string;
  readonly entitled: boolean;
}

export interface Title {
  readonly content_id: string;
  /** The clear clip on this disk. */
  readonly source: string;
}

interface Demo {
  readonly url: string;
  readonly accounts: readonly Account[];
  readonly titles: readonly Title[];
}

/** The browser of the machine: its own build, not one that npm brings. */
const CHROMIUM = process.env["STRONGROOM_CHROMIUM"] ?? "/usr/bin/chromium";

const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
];

/** Long enough for a loaded machine of two cores. */
export const PATIENCE_MS = 30_000;

function readDemo(): Demo {
  const path = process.env["STRONGROOM_DEMO"];
  if (path === undefined) {
    throw new Error("STRONGROOM_DEMO must name a file with the line of `strongroom demo --json`");
  }
  return JSON.parse(readFileSync(path, "utf8")) as Demo;
}

export const demo: Demo = readDemo();

export function account(kind: "entitled" | "not entitled"): Account {
  const found = demo.accounts.find(({ entitled }) => entitled === (kind === "entitled"));
  if (found === undefined) throw new Error(`the demo has no account that is ${kind}`);
  return found;
}

/** The demo's first title: its policy lets ClearKey have HD. */
export function firstTitle(): Title {
  return titleAt(0);
}

/** The demo's second title: the default policy, so SD for ClearKey. */
export function secondTitle(): Title {
  return titleAt(1);
}

function titleAt(place: number): Title {
  const title = demo.titles[place];
  if (title === undefined) throw new Error("the demo has two titles");
  return title;
}

let browser: Promise<Browser> | undefined;

/** One browser for the run; every page gets a context of its own, so nothing is shared. */
function sharedBrowser(): Promise<Browser> {
  browser ??= chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  return browser;
}

export async function closeBrowser(): Promise<void> {
  await (await browser)?.close();
  browser = undefined;
}

/** A desktop window of the size at which the watch page shows its full layout. */
const DESKTOP = { width: 1280, height: 800 };

/** Gives `use` a fresh page and fails if the page's own scripts failed. */
export async function withPage(
  use: (page: Page) => Promise<void>,
  options: BrowserContextOptions = {},
): Promise<void> {
  const context = await (await sharedBrowser()).newContext({ viewport: DESKTOP, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) faults.push(message.text());
  });
  try {
    await use(page);
  } finally {
    // What the page does from now on is not looked at. One that is left frees its stream slot;
    // one that is closed says nothing.
    page.removeAllListeners("pageerror");
    await page.goto("about:blank").catch(() => undefined);
    await context.close();
  }
  if (faults.length > 0) throw new Error(`the page's scripts failed: ${faults.join("; ")}`);
}

/** Signs in through the page, then opens `path`. */
export async function signInAndOpen(page: Page, who: Account, path: string): Promise<void> {
  await page.goto(`${demo.url}/sign-in`);
  await fillSignIn(page, who.name, who.password);
  await page.waitForURL(`${demo.url}/`);
  await page.goto(demo.url + path);
}

const signedIn = new Map<string, Cookie[]>();

/**
 * Opens `path` as `who`, who signs in only the first time: the service counts tries, and most
 * tests are not about signing in.
 */
export async function openAs(page: Page, who: Account, path: string): Promise<void> {
  const cookies = signedIn.get(who.name);
  if (cookies === undefined) {
    await signInAndOpen(page, who, path);
    signedIn.set(who.name, await page.context().cookies());
  } else {
    await page.context().addCookies(cookies);
    await page.goto(demo.url + path);
  }
}

/** Fills in the sign-in page and sends it. */
export async function fillSignIn(page: Page, name: string, password: string): Promise<void> {
  await page.getByLabel("Account").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export function watchPath(title: Title, scheme?: "cbcs" | "cenc"): string {
  return `/watch/${title.content_id}${scheme === undefined ? "" : `?scheme=${scheme}`}`;
}

/** Leaves the resume offer, if an earlier viewing brought it, for the beginning. */
export async function beginAtStart(page: Page): Promise<void> {
  const restart = page.getByRole("button", { name: "Start from the beginning" });
  const controls = page.getByRole("group", { name: "Player controls" });
  const message = page.getByRole("alert");
  await restart.or(controls).or(message).first().waitFor();
  if (await restart.isVisible()) await restart.click();
}
