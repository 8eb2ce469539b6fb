import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "mpd-parser";

/** The manifests that the packager's own tests keep as agreed. */
const AGREED = join(process.env.STRONGROOM_WEB ?? ".", "../crates/media/src/manifest/snapshots");

function agreed(name: string): string {
  const text = readFileSync(join(AGREED, `media__manifest__tests__${name}.mpd.snap`), "utf8");
  return text.slice(text.indexOf("<?xml"));
}

interface Playlist {
  attributes: { NAME: string; BANDWIDTH: number; CODECS: string };
  contentProtection?: Record<string, { attributes: Record<string, string>; pssh?: Uint8Array }>;
  segments: { duration: number; uri: string }[];
  sidx?: unknown;
}

interface Manifest {
  duration: number;
  playlists: Playlist[];
  mediaGroups: { AUDIO: { audio: Record<string, { language: string; playlists: Playlist[] }> } };
}

function read(name: string): { text: string; manifest: Manifest; playlists: Playlist[] } {
  const text = agreed(name);
  const manifest = parse(text, { manifestUri: "https://media.example/" }) as Manifest;
  const audio = Object.values(manifest.mediaGroups.AUDIO.audio ?? {});
  return {
    text,
    manifest,
    playlists: [...manifest.playlists, ...audio.flatMap((group) => group.playlists)],
  };
}

const count = (text: string, what: RegExp): number => [...text.matchAll(what)].length;

test("a third parser finds every rendition with its codec and bandwidth", () => {
  for (const name of ["manifest", "single_file"]) {
    const { text, playlists } = read(name);
    assert.ok(playlists.length > 0);
    // One playlist of a language is merged by this parser; pictures never are.
    const videos = [...text.matchAll(/<Representation id="([^"]*video[^"]*)" bandwidth="(\d+)"/g)];
    const found = playlists.map((one) => `${one.attributes.NAME} ${one.attributes.BANDWIDTH}`);
    for (const [, id, bandwidth] of videos) assert.ok(found.includes(`${id} ${bandwidth}`), id);
    for (const one of playlists) {
      assert.ok(text.includes(`codecs="${one.attributes.CODECS}"`), one.attributes.NAME);
    }
  }
});

test("it finds every segment at its place", () => {
  const { playlists } = read("manifest");
  for (const one of playlists.filter((playlist) => playlist.attributes.NAME.includes("video"))) {
    const scheme = one.attributes.NAME.split("-", 1).join();
    const name = one.attributes.NAME.slice(scheme.length + 1);
    assert.deepEqual(
      one.segments.map((segment) => segment.uri),
      [1, 2, 3].map((number) => `${scheme}/${name}/${number}.m4s`),
    );
  }
});

test("it reads the index of a single file", () => {
  const { text, playlists } = read("single_file");
  assert.ok(count(text, /<SegmentBase /g) > 0);
  assert.ok(playlists.every((one) => one.sidx !== undefined));
});

test("it reads the descriptors of the systems with their boxes", () => {
  const { text, playlists } = read("manifest");
  for (const one of playlists) {
    const systems = one.contentProtection ?? {};
    const kid = systems["mp4protection"]?.attributes["cenc:default_KID"];
    assert.ok(kid !== undefined && text.includes(kid), one.attributes.NAME);
    const widevine = systems["com.widevine.alpha"]?.pssh;
    assert.equal(Buffer.from(widevine?.subarray(4, 8) ?? []).toString(), "pssh");
    assert.ok(systems["com.microsoft.playready"]?.pssh !== undefined);
  }
});
