// Bundles the pages into dist/ and runs the tests: `node build.mjs pages|unit|e2e|screenshot`.
// `node build.mjs e2e players` runs the tests of one file.
//
// The server embeds dist/ and serves its files below /assets/, so every page names its script
// and style by that path. Tests are bundled too, because Node 18 does not read TypeScript.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const WEB = dirname(fileURLToPath(import.meta.url));
const DIST = join(WEB, "dist");
// Below node_modules: ignored by git, and packages named in a test resolve from there.
const TESTS = join(WEB, "node_modules", ".strongroom-tests");

async function emptyFolder(folder) {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (name !== ".gitkeep") await rm(join(folder, name), { recursive: true });
  }
}

async function pages() {
  await emptyFolder(DIST);
  await build({
    absWorkingDir: WEB,
    entryPoints: { app: "src/app.ts", style: "src/style.css" },
    outdir: DIST,
    bundle: true,
    minify: true,
    // The watch page's chunk holds Shaka Player; the other pages never load it.
    splitting: true,
    format: "esm",
    target: ["chrome105", "firefox102", "safari16"],
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    legalComments: "linked",
    logLevel: "info",
  });
  await cp(join(WEB, "src", "static"), DIST, { recursive: true });
  await serviceWorker();
}

/** The service worker knows the files of this build, and changes whenever one of them does. */
async function serviceWorker() {
  const names = (await readdir(DIST)).filter((name) => !/^\.|\.txt$/.test(name)).sort();
  const hash = createHash("sha256");
  for (const name of names) hash.update(name).update(await readFile(join(DIST, name)));
  await build({
    absWorkingDir: WEB,
    entryPoints: { "service-worker": "src/offline/service-worker.ts" },
    outdir: DIST,
    bundle: true,
    minify: true,
    format: "iife",
    target: ["chrome105", "firefox102", "safari16"],
    define: {
      FILES: JSON.stringify(names),
      VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)),
    },
    logLevel: "info",
  });
}

/** Runs the TypeScript `files` as one process: what they start and use, they use in turn. */
async function run(files, flags) {
  await emptyFolder(TESTS);
  const outfile = join(TESTS, "tests.mjs");
  await build({
    stdin: { contents: files.map((file) => `import "./${file}";`).join("\n"), resolveDir: WEB },
    outfile,
    bundle: true,
    packages: "external",
    platform: "node",
    target: "node18",
    format: "esm",
    sourcemap: "inline",
    logLevel: "warning",
  });
  const env = { ...process.env, STRONGROOM_WEB: WEB };
  const args = ["--enable-source-maps", ...flags, outfile];
  process.exitCode = spawnSync(process.execPath, args, { env, stdio: "inherit" }).status ?? 1;
}

async function testsIn(folder) {
  const names = await readdir(join(WEB, folder));
  const wanted = process.argv[3];
  const isTest = (name) =>
    wanted === undefined ? name.endsWith(".test.ts") : name === `${wanted}.test.ts`;
  return names.filter(isTest).map((name) => `${folder}/${name}`).sort();
}

const task = process.argv[2];
switch (task) {
  case "pages":
    await pages();
    break;
  case "unit":
    await run(await testsIn("test"), ["--test"]);
    break;
  case "e2e":
    await run(await testsIn("e2e"), ["--test"]);
    break;
  case "screenshot":
    await run(["e2e/screenshot.ts"], []);
    break;
  default:
    console.error("usage: node build.mjs pages|unit|e2e|screenshot");
    process.exitCode = 2;
}
