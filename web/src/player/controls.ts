// The player's controls: buttons, sliders, menus, keys, and when they hide.

import { element } from "../dom";
import { clockTime } from "../time";
import { commandFor, focusOf, type Command } from "./keyboard";
import { Preview } from "./preview";
import { AUTO, type Choice, type Screen } from "./screen";

/** Seconds that an arrow key moves. */
const STEP_S = 5;
/** Share of the volume that an arrow key changes. */
const VOLUME_STEP = 0.1;
/** Without a sign of the viewer for so long, the controls of a playing video hide. */
const IDLE_MS = 3_000;
/** Nearer to the edge of a live event than this, the picture counts as live, seconds. */
const LIVE_MARGIN_S = 15;
/** Steps of the seek bar in one second of video. */
const SEEK_STEPS = 10;

export class Controls {
  readonly #stage = element("stage", HTMLElement);
  readonly #play = element("play", HTMLButtonElement);
  readonly #seek = element("seek", HTMLInputElement);
  readonly #time = element("time", HTMLSpanElement);
  readonly #live = element("live", HTMLButtonElement);
  readonly #mute = element("mute", HTMLButtonElement);
  readonly #volume = element("volume", HTMLInputElement);
  readonly #quality = element("quality", HTMLSelectElement);
  readonly #language = element("language", HTMLSelectElement);
  readonly #subtitles = element("subtitles", HTMLSelectElement);
  readonly #subtitlesMenu = element("subtitles-menu", HTMLLabelElement);
  readonly #fullScreen = element("full-screen", HTMLButtonElement);
  readonly #preview: Preview;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  #isSeeking = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly screen: Screen,
  ) {
    this.#preview = new Preview((seconds) => screen.thumbnailAt(seconds));
    this.#followVideo();
    this.#followControls();
    this.#followSearch();
    this.#followViewer();
    this.showTracks();
    this.#showTime();
    this.#showVolume();
    element("controls", HTMLDivElement).hidden = false;
  }

  /** Fills the menus anew: what may be chosen, or what is chosen, has changed. */
  showTracks(): void {
    const quality = this.screen.isAuto ? AUTO : String(this.screen.shownHeight() ?? AUTO);
    fill(this.#quality, this.screen.qualities(), quality);
    fill(this.#language, this.screen.languages(), this.screen.language() ?? "");
    this.#language.disabled = this.#language.options.length < 2;
    fill(this.#subtitles, this.screen.subtitles(), this.screen.subtitle());
    // A title without subtitles has "Off" alone: nothing to choose.
    this.#subtitlesMenu.hidden = this.#subtitles.options.length < 2;
  }

  toggle(): void {
    if (this.video.paused) void this.video.play().catch(() => undefined);
    else this.video.pause();
  }

  #followVideo(): void {
    const on = (names: string[], act: () => void) => {
      for (const name of names) this.video.addEventListener(name, act);
    };
    on(["timeupdate", "seeked", "durationchange", "progress"], () => this.#showTime());
    on(["play", "pause", "ended"], () => this.#showPlaying());
    on(["volumechange"], () => this.#showVolume());
    this.video.addEventListener("click", () => this.toggle());
    this.video.addEventListener("dblclick", () => this.#toggleFullScreen());
    this.#showPlaying();
  }

  #followControls(): void {
    this.#play.addEventListener("click", () => this.toggle());
    this.#mute.addEventListener("click", () => this.#run("mute"));
    this.#fullScreen.addEventListener("click", () => this.#toggleFullScreen());
    document.addEventListener("fullscreenchange", () => {
      const isFull = document.fullscreenElement !== null;
      label(this.#fullScreen, isFull ? "Leave full screen (f)" : "Full screen (f)");
      this.#fullScreen.classList.toggle("is-on", isFull);
    });
    this.#live.addEventListener("click", () => this.screen.goToLive());
    this.#seek.addEventListener("input", () => {
      this.#isSeeking = true;
      this.#showTime(this.#sought());
      this.#preview.showBriefly(this.#sought(), this.#duration());
    });
    this.#seek.addEventListener("change", () => {
      this.#isSeeking = false;
      this.video.currentTime = this.#sought();
    });
    this.#volume.addEventListener("input", () => {
      this.video.volume = Number(this.#volume.value) / 100;
      this.video.muted = this.video.volume === 0;
    });
    this.#quality.addEventListener("change", () => this.screen.chooseQuality(this.#quality.value));
    this.#language.addEventListener("change", () =>
      this.screen.chooseLanguage(this.#language.value),
    );
    this.#subtitles.addEventListener("change", () =>
      this.screen.chooseSubtitle(this.#subtitles.value),
    );
  }

  /** A pointer over the bar shows what is there. */
  #followSearch(): void {
    this.#seek.addEventListener("pointermove", (event) => {
      const { left, width } = this.#seek.getBoundingClientRect();
      const share = width > 0 ? Math.min(1, Math.max(0, (event.clientX - left) / width)) : 0;
      this.#preview.show(share * this.#duration(), this.#duration());
    });
    for (const name of ["pointerleave", "pointercancel", "blur"]) {
      this.#seek.addEventListener(name, () => this.#preview.hide());
    }
  }

  #followViewer(): void {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const command = commandFor(event.key, focusOf(event.target));
      if (command === null) return;
      event.preventDefault();
      this.#run(command);
    });
    for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) {
      document.addEventListener(name, () => this.#wake());
    }
    this.#wake();
  }

  #run(command: Command): void {
    switch (command) {
      case "toggle":
        return this.toggle();
      case "back":
        return this.#moveTo(this.video.currentTime - STEP_S);
      case "forward":
        return this.#moveTo(this.video.currentTime + STEP_S);
      case "louder":
        return this.#setVolume(this.video.volume + VOLUME_STEP);
      case "softer":
        return this.#setVolume(this.video.volume - VOLUME_STEP);
      case "mute":
        this.video.muted = !this.video.muted;
        return;
      case "full-screen":
        return this.#toggleFullScreen();
    }
  }

  #moveTo(seconds: number): void {
    const { startS, endS } = this.screen.range();
    const to = Math.min(Math.max(startS, seconds), endS);
    this.video.currentTime = to;
    this.#preview.showBriefly(to, this.#duration());
  }

  /** Length of what can be played; a live event's previews are none. */
  #duration(): number {
    return this.screen.isLive ? 0 : this.screen.range().endS;
  }

  /** Where the seek bar stands, seconds. */
  #sought(): number {
    return this.screen.range().startS + Number(this.#seek.value) / SEEK_STEPS;
  }

  #setVolume(volume: number): void {
    this.video.volume = Math.min(Math.max(0, volume), 1);
    this.video.muted = this.video.volume === 0;
  }

  #toggleFullScreen(): void {
    const change = document.fullscreenElement
      ? document.exitFullscreen()
      : this.#stage.requestFullscreen();
    // A browser that refuses (an embedding page forbids it) leaves things as they are.
    void change.catch(() => undefined);
  }

  #wake(): void {
    clearTimeout(this.#idleTimer);
    this.#stage.classList.remove("is-idle");
    this.#idleTimer = setTimeout(() => {
      const isInUse = this.#stage.querySelector(".controls :focus-visible") !== null;
      this.#stage.classList.toggle("is-idle", !this.video.paused && !isInUse);
    }, IDLE_MS);
  }

  #showPlaying(): void {
    label(this.#play, this.video.paused ? "Play (k)" : "Pause (k)");
    this.#play.classList.toggle("is-on", !this.video.paused);
    this.#wake();
  }

  #showTime(atS?: number): void {
    if (this.#isSeeking && atS === undefined) return;
    const { startS, endS } = this.screen.range();
    const duration = endS - startS;
    const position = Math.max(0, (atS ?? this.video.currentTime) - startS);
    const { shown, spoken } = this.screen.isLive
      ? liveTime(duration - position)
      : vodTime(position, duration);
    this.#seek.max = String(Math.floor(duration * SEEK_STEPS));
    if (atS === undefined) this.#seek.value = String(Math.round(position * SEEK_STEPS));
    this.#seek.setAttribute("aria-valuetext", spoken);
    this.#time.textContent = shown;
    this.#live.hidden = !this.screen.isLive;
    this.#live.classList.toggle("is-on", duration - position <= LIVE_MARGIN_S);
    this.#seek.style.setProperty("--played", share(position, duration));
    this.#seek.style.setProperty("--loaded", share(this.#loadedUntil() - startS, duration));
  }

  #loadedUntil(): number {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i)) {
        return buffered.end(i);
      }
    }
    return currentTime;
  }

  #showVolume(): void {
    const volume = this.video.muted ? 0 : this.video.volume;
    this.#volume.value = String(Math.round(volume * 100));
    this.#volume.style.setProperty("--played", share(volume, 1));
    label(this.#mute, volume === 0 ? "Sound on (m)" : "Mute (m)");
    this.#mute.classList.toggle("is-on", volume === 0);
  }
}

/** Where a title stands. */
function vodTime(position: number, duration: number): { shown: string; spoken: string } {
  const [at, of] = [clockTime(position), clockTime(duration)];
  return { shown: `${at} / ${of}`, spoken: `${at} of ${of}` };
}

/** How far behind the edge a live event stands. */
function liveTime(behindS: number): { shown: string; spoken: string } {
  if (behindS <= LIVE_MARGIN_S) return { shown: "", spoken: "live" };
  const behind = clockTime(behindS);
  return { shown: `−${behind}`, spoken: `${behind} behind live` };
}

function share(part: number, whole: number): string {
  return `${whole > 0 ? Math.min(100, (part / whole) * 100) : 0}%`;
}

function label(button: HTMLButtonElement, text: string): void {
  button.setAttribute("aria-label", text);
  button.title = text;
}

function fill(menu: HTMLSelectElement, choices: readonly Choice[], chosen: string): void {
  const options = choices.map(({ value, label: text }) => new Option(text, value));
  menu.replaceChildren(...options);
  menu.value = chosen;
}
