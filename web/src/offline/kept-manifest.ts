// What of a title is downloaded: one picture, every language of sound, every language of subtitles.
//
// The manifest (ISO/IEC 23009-1) that the service gave is cut down to these and kept; paths in it
// are relative, and name the same files on the shelf. What it does not read it refuses.

import { Refusal } from "../service/problem";

/** More files than this no title of ours has: ten hours in segments of two seconds, six tracks. */
const MAX_FILES = 100_000;

const CENC = "urn:mpeg:cenc:2013";

/** What the viewer prefers. */
export type Wish = "best" | "small";

/** One way to keep the title. */
export interface Choice {
  readonly manifest: string;
  readonly files: readonly string[];
  readonly height: number;
  /** Initialization data of the picture, base64: without its key there is nothing to keep. */
  readonly picture: readonly string[];
  /** That of the sound. */
  readonly sound: readonly string[];
  /** About how many bytes it takes. */
  readonly estimate: number;
}

/** Reads and writes XML: a browser's own, or a test's. */
export interface Xml {
  parse(text: string): Document;
  write(document: Document): string;
}

export const PAGE_XML: Xml = {
  parse: (text) => new DOMParser().parseFromString(text, "application/xml"),
  write: (document) => new XMLSerializer().serializeToString(document),
};

/**
 * The ways to keep a title, the wished one first and then each smaller one. `uuid` names the DRM
 * system in the manifest.
 */
export function choices(text: string, uuid: string, wish: Wish, xml: Xml = PAGE_XML): Choice[] {
  const pictures = tracks(xml.parse(text), "video").sort((a, b) => bandwidth(b) - bandwidth(a));
  const wanted = wish === "best" ? pictures : pictures.slice(-1);
  return wanted.map((picture) => choose(xml, text, uuid, attribute(picture, "id")));
}

function choose(xml: Xml, text: string, uuid: string, pictureId: string): Choice {
  const document = xml.parse(text);
  const mpd = document.documentElement;
  if (mpd === null || mpd.tagName !== "MPD" || all(mpd, "Period").length !== 1) throw unreadable();
  if (attribute(mpd, "type") === "dynamic") throw unreadable();
  for (const set of all(mpd, "AdaptationSet")) {
    const kind = kindOf(set);
    const renditions = all(set, "Representation");
    const best = renditions.reduce((a, b) => (bandwidth(b) > bandwidth(a) ? b : a), renditions[0] as Element);
    const isKept = (one: Element) =>
      kind === "video" ? one.getAttribute("id") === pictureId : kind !== null && one === best;
    renditions.filter((one) => !isKept(one)).forEach((one) => one.parentNode?.removeChild(one));
    if (all(set, "Representation").length === 0) set.parentNode?.removeChild(set);
  }
  const picture = tracks(document, "video")[0];
  const durationS = seconds(attribute(mpd, "mediaPresentationDuration"));
  if (picture === undefined || durationS === null) throw unreadable();
  const kept = all(mpd, "Representation");
  const files = [...new Set(kept.flatMap(filesOf))];
  if (files.length > MAX_FILES) throw unreadable();
  return {
    manifest: xml.write(document),
    files,
    height: Number(picture.getAttribute("height") ?? 0),
    picture: initData([picture], uuid),
    sound: initData(tracks(document, "audio"), uuid),
    estimate: Math.ceil((durationS * kept.reduce((sum, one) => sum + bandwidth(one), 0)) / 8),
  };
}

/** What a set is; `null` for what is no part of plain playback: key frames to search by, thumbnails. */
function kindOf(set: Element): string | null {
  return all(set, "EssentialProperty").length > 0 ? null : attribute(set, "contentType");
}

function tracks(document: Document, kind: string): Element[] {
  const root = document.documentElement;
  const sets = root === null ? [] : all(root, "AdaptationSet");
  return sets
    .filter((set) => kindOf(set) === kind)
    .flatMap((set) => all(set, "Representation"));
}

/** The system's `pssh` boxes of the sets that these are in, each once. */
function initData(renditions: readonly Element[], uuid: string): string[] {
  const boxes = renditions.flatMap((one) => {
    const protections = one.parentNode === null ? [] : all(one.parentNode as Element, "ContentProtection");
    return protections
      .filter((of) => of.getAttribute("schemeIdUri")?.toLowerCase() === `urn:uuid:${uuid}`)
      .flatMap((of) => Array.from(of.getElementsByTagNameNS(CENC, "pssh")))
      .map((box) => (box.textContent ?? "").trim());
  });
  return [...new Set(boxes)];
}

/** The files of a rendition, relative to the manifest. */
function filesOf(rendition: Element): string[] {
  const template = all(rendition, "SegmentTemplate")[0];
  const base = all(rendition, "BaseURL")[0]?.textContent?.trim();
  if (template === undefined) return [relative(base ?? "")];
  if (base !== undefined) throw unreadable();
  const media = attribute(template, "media");
  const first = Number(template.getAttribute("startNumber") ?? 1);
  if (/\$(?!Number\$)/.test(media.replaceAll("$Number$", ""))) throw unreadable();
  const count = all(template, "S").reduce((sum, one) => sum + 1 + repeats(one), 0);
  if (count === 0 || count > MAX_FILES) throw unreadable();
  const segments = Array.from({ length: count }, (_, i) =>
    relative(media.replaceAll("$Number$", String(first + i))),
  );
  return [relative(attribute(template, "initialization")), ...segments];
}

function repeats(one: Element): number {
  const repeated = Number(one.getAttribute("r") ?? 0);
  if (!Number.isInteger(repeated) || repeated < 0) throw unreadable();
  return repeated;
}

/** A path below the manifest's own folder, and nothing else. */
function relative(path: string): string {
  if (!/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/.test(path) || /(^|\/)\.\.?(\/|$)/.test(path)) {
    throw unreadable();
  }
  return path;
}

/** A duration (ISO 8601) of hours, minutes and seconds. */
function seconds(text: string): number | null {
  const found = /^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?$/.exec(text);
  if (found === null) return null;
  const [, h = "0", m = "0", s = "0"] = found;
  return Number(h) * 3600 + Number(m) * 60 + Number(s);
}

function all(within: Element, name: string): Element[] {
  return Array.from(within.getElementsByTagName(name));
}

function attribute(of: Element, name: string): string {
  return of.getAttribute(name) ?? "";
}

function bandwidth(of: Element): number {
  return Number(of.getAttribute("bandwidth") ?? 0);
}

function unreadable(): Refusal {
  return new Refusal({
    sentence: "This title cannot be downloaded in a browser.",
    code: "not_downloadable",
    status: null,
  });
}
