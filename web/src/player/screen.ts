// Shaka Player behind the few calls the watch page needs.

import shaka from "shaka-player/dist/shaka-player.dash-es2021.js";
import { KEY_SYSTEM } from "./capability";
import { playerRefusal } from "./player-problem";
import type { Thumbnail } from "./preview";
import { sharedInitData } from "./shared-init-data";
import type { Refusal } from "../service/problem";

/** One choice of a menu. */
export interface Choice {
  readonly value: string;
  readonly label: string;
}

/**
 * Shaka sends license requests to the URL of this scheme, and so hands them to the license
 * desk: its own retries know neither `Retry-After` nor the end of a license URL's life.
 */
const DESK_SCHEME = "strongroom-license";

/** The menu value that leaves the quality to the player. */
export const AUTO = "auto";

/** The menu value without subtitles. */
const OFF = "off";

/** How long a stalled request may last before it is sent anew. */
const SEGMENT_RETRIES = { maxAttempts: 4, baseDelay: 500, backoffFactor: 2, fuzzFactor: 0.5 };

export interface ScreenEvents {
  /** The lists of qualities, languages or subtitles, or what is chosen, changed. */
  tracksChanged(): void;
  buffering(isBuffering: boolean): void;
  failed(refusal: Refusal): void;
  /** The stream named keys (W3C EME, `cenc` initialization data). */
  namedKeys(initData: Uint8Array): void;
}

/** What plays without the network: where its licenses are kept, and who reads its files. */
export interface Kept {
  readonly keySystem: string;
  readonly robustness: { readonly video: string; readonly audio: string };
  readonly sessions: readonly { readonly sessionId: string; readonly initData: Uint8Array }[];
  /** Reads the file of a `kept:` address, or the range of it. */
  read(uri: string, range: string | null): Promise<ArrayBuffer>;
}

/** The scheme of addresses of what is kept. */
export const KEPT_SCHEME = "kept";

export class Screen {
  readonly #player = new shaka.Player();

  constructor(
    private readonly video: HTMLVideoElement,
    acquire: (challenge: ArrayBuffer) => Promise<ArrayBuffer>,
    events: ScreenEvents,
    kept: Kept | null = null,
  ) {
    shaka.net.NetworkingEngine.registerScheme(DESK_SCHEME, (uri, request) =>
      shaka.util.AbortableOperation.notAbortable(
        acquire(bytesOf(request.body)).then((data) => ({
          uri,
          originalUri: uri,
          originalRequest: request,
          data,
          headers: {},
        })),
      ),
    );
    this.#player.configure({
      drm: {
        servers: { [KEY_SYSTEM]: `${DESK_SCHEME}:desk` },
        retryParameters: { maxAttempts: 1 },
        initDataTransform: (
          initData: Uint8Array,
          _type: string,
          drmInfo: shaka.extern.DrmInfo | null,
        ) => sharedInitData(initData, [...(drmInfo?.keyIds ?? [])]),
      },
      manifest: { retryParameters: SEGMENT_RETRIES },
      streaming: { retryParameters: SEGMENT_RETRIES },
    });
    if (kept !== null) this.#playKept(kept);
    this.#player.addEventListener("error", (event: Event) => {
      if ("detail" in event) events.failed(playerRefusal(event.detail));
    });
    this.#player.addEventListener("buffering", (event: Event) => {
      events.buffering("buffering" in event && event.buffering === true);
    });
    this.video.addEventListener("encrypted", ({ initData, initDataType }) => {
      if (initData !== null && initDataType === "cenc") events.namedKeys(new Uint8Array(initData));
    });
    const changes = [
      "trackschanged",
      "adaptation",
      "variantchanged",
      "audiotrackschanged",
      "textchanged",
    ];
    for (const name of changes) {
      this.#player.addEventListener(name, () => events.tracksChanged());
    }
  }

  /** Has the player load licenses that are kept, ask for none, and read files that are here. */
  #playKept({ keySystem, robustness, sessions, read }: Kept): void {
    shaka.net.NetworkingEngine.registerScheme(KEPT_SCHEME, (uri, request) =>
      shaka.util.AbortableOperation.notAbortable(
        read(uri, request.headers["Range"] ?? null).then((data) => ({
          uri,
          originalUri: uri,
          originalRequest: request,
          data,
          headers: {},
        })),
      ),
    );
    const [first] = sessions;
    this.#player.configure({
      drm: {
        servers: { [keySystem]: `${DESK_SCHEME}:desk` },
        persistentSessionsMetadata: sessions.map((session) => ({ ...session, initDataType: "cenc" })),
        // What a session has answered before is not asked anew.
        initDataTransform: () => first?.initData ?? new Uint8Array(),
        advanced: {
          [keySystem]: {
            videoRobustness: [robustness.video],
            audioRobustness: [robustness.audio],
            sessionType: "persistent-license",
            persistentStateRequired: true,
          },
        },
      },
    });
  }

  /** The codecs of what can be played. */
  codecs(): { video: string[]; audio: string[] } {
    const tracks = this.#player.getVariantTracks();
    const distinct = (codecs: (string | null)[]) =>
      [...new Set(codecs)].filter((codec): codec is string => codec !== null && codec !== "");
    return {
      video: distinct(tracks.map(({ videoCodec }) => videoCodec)),
      audio: distinct(tracks.map(({ audioCodec }) => audioCodec)),
    };
  }

  /** Has the player ask for the keys of this initialization data, as if the stream had brought it. */
  askFor(initData: Uint8Array): void {
    const init = { initDataType: "cenc", initData: initData.slice().buffer };
    this.video.dispatchEvent(new MediaEncryptedEvent("encrypted", init));
  }

  static isSupported(): boolean {
    shaka.polyfill.installAll();
    return shaka.Player.isBrowserSupported();
  }

  /** Loads the manifest and stands at `startS`, or at the edge of a live event; throws a `Refusal`. */
  async load(manifestUrl: string, startS: number | null): Promise<void> {
    try {
      await this.#player.attach(this.video);
      await this.#player.load(manifestUrl, startS, "application/dash+xml");
    } catch (error) {
      throw playerRefusal(error);
    }
  }

  /** Whether a live event plays that has not ended. */
  get isLive(): boolean {
    return this.#player.isLive();
  }

  /** What can be played now, seconds: the whole title, or the window of a live event. */
  range(): { startS: number; endS: number } {
    if (this.isLive) {
      const { start, end } = this.#player.seekRange();
      return { startS: start, endS: Math.max(start, end) };
    }
    return { startS: 0, endS: Number.isFinite(this.video.duration) ? this.video.duration : 0 };
  }

  /** Moves to the edge of a live event. */
  goToLive(): void {
    this.#player.goToLive();
  }

  /** Stops for good: what is buffered is dropped, the picture goes dark. */
  async close(): Promise<void> {
    await this.#player.destroy();
  }

  /** The qualities to choose from, best first, after `auto`. */
  qualities(): Choice[] {
    const heights = this.#player.getVideoTracks().map((track) => track.height ?? 0);
    const distinct = [...new Set(heights)].filter((height) => height > 0).sort((a, b) => b - a);
    const auto = this.isAuto ? `Auto (${this.shownHeight() ?? "–"}p)` : "Auto";
    return [
      { value: AUTO, label: auto },
      ...distinct.map((height) => ({ value: String(height), label: `${height}p` })),
    ];
  }

  get isAuto(): boolean {
    return this.#player.getConfiguration().abr.enabled;
  }

  shownHeight(): number | null {
    return this.#player.getVideoTracks().find((track) => track.active)?.height ?? null;
  }

  chooseQuality(value: string): void {
    this.#player.configure({ abr: { enabled: value === AUTO } });
    const wanted = this.#player
      .getVideoTracks()
      .filter((track) => String(track.height) === value)
      .sort((a, b) => b.bandwidth - a.bandwidth)[0];
    if (wanted !== undefined) this.#player.selectVideoTrack(wanted, true);
  }

  /** The audio languages, each by its own name. */
  languages(): Choice[] {
    const languages = this.#player.getAudioTracks().map((track) => track.language);
    return [...new Set(languages)].map((value) => ({ value, label: languageName(value) }));
  }

  /** The thumbnail of a time; `null` where the title has none. */
  async thumbnailAt(seconds: number): Promise<Thumbnail | null> {
    const track = this.#player.getImageTracks()[0];
    if (track === undefined) return null;
    const found = await this.#player.getThumbnails(track.id, seconds);
    const uri = found?.uris[0];
    if (found === null || uri === undefined) return null;
    const { positionX: left, positionY: top, width, height } = found;
    return { uri, left, top, width, height };
  }

  language(): string | undefined {
    return this.#player.getAudioTracks().find((track) => track.active)?.language;
  }

  chooseLanguage(language: string): void {
    const wanted = this.#player.getAudioTracks().find((track) => track.language === language);
    if (wanted !== undefined) this.#player.selectAudioTrack(wanted);
  }

  /** The subtitles to choose from, each by its language's own name, after "Off". */
  subtitles(): Choice[] {
    const languages = this.#player.getTextTracks().map((track) => track.language);
    return [
      { value: OFF, label: "Off" },
      ...[...new Set(languages)].map((value) => ({ value, label: languageName(value) })),
    ];
  }

  subtitle(): string {
    return this.#player.getTextTracks().find((track) => track.active)?.language ?? OFF;
  }

  chooseSubtitle(language: string): void {
    const wanted = this.#player.getTextTracks().find((track) => track.language === language);
    this.#player.selectTextTrack(wanted ?? null);
  }
}

function bytesOf(body: ArrayBuffer | ArrayBufferView | null): ArrayBuffer {
  if (body === null) return new ArrayBuffer(0);
  if (body instanceof ArrayBuffer) return body;
  return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice().buffer;
}

function languageName(language: string): string {
  if (language === "und" || language === "") return "Original";
  try {
    const name = new Intl.DisplayNames([language], { type: "language" }).of(language) ?? language;
    return name.charAt(0).toLocaleUpperCase(language) + name.slice(1);
  } catch {
    return language;
  }
}
