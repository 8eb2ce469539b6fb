// What is shown while the viewer looks for a place: its picture and its time, above the bar.

import { element } from "../dom";
import { clockTime } from "../time";

/** One thumbnail: a part of a sheet of them. */
export interface Thumbnail {
  readonly uri: string;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** After a key, the preview stays for so long. */
const LINGER_MS = 1_500;
/** Sheets that are kept; a viewer goes to and fro. */
const MAX_SHEETS = 8;

export class Preview {
  readonly #box = element("preview", HTMLDivElement);
  readonly #picture = element("preview-picture", HTMLCanvasElement);
  readonly #time = element("preview-time", HTMLSpanElement);
  readonly #sheets = new Map<string, Promise<HTMLImageElement>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts what was asked for: a picture that comes late is not shown. */
  #asked = 0;

  constructor(private readonly find: (seconds: number) => Promise<Thumbnail | null>) {}

  /** Shows what is at `seconds` of `duration`, until it is hidden. */
  show(seconds: number, duration: number): void {
    clearTimeout(this.#timer);
    this.#asked += 1;
    const asked = this.#asked;
    const share = duration > 0 ? Math.min(1, Math.max(0, seconds / duration)) : 0;
    this.#box.style.setProperty("--at", String(share));
    this.#time.textContent = clockTime(seconds);
    this.#box.hidden = false;
    void this.#draw(seconds, asked).catch(() => {
      // A title without thumbnails, or one that does not come: the time alone is shown.
      if (asked === this.#asked) this.#picture.hidden = true;
    });
  }

  /** The same for a viewer who uses keys: nothing says when the search is over. */
  showBriefly(seconds: number, duration: number): void {
    this.show(seconds, duration);
    this.#timer = setTimeout(() => this.hide(), LINGER_MS);
  }

  hide(): void {
    clearTimeout(this.#timer);
    this.#asked += 1;
    this.#box.hidden = true;
  }

  async #draw(seconds: number, asked: number): Promise<void> {
    const thumbnail = await this.find(seconds);
    if (thumbnail === null) throw new Error("there is no thumbnail");
    const sheet = await this.#sheet(thumbnail.uri);
    if (asked !== this.#asked) return;
    const { left, top, width, height } = thumbnail;
    this.#picture.width = width;
    this.#picture.height = height;
    const context = this.#picture.getContext("2d");
    context?.drawImage(sheet, left, top, width, height, 0, 0, width, height);
    this.#picture.hidden = false;
  }

  #sheet(uri: string): Promise<HTMLImageElement> {
    const known = this.#sheets.get(uri);
    if (known !== undefined) return known;
    const oldest = this.#sheets.keys().next();
    if (this.#sheets.size >= MAX_SHEETS && oldest.done !== true) this.#sheets.delete(oldest.value);
    const image = new Image();
    image.src = uri;
    const loaded = image.decode().then(() => image);
    this.#sheets.set(uri, loaded);
    // One that did not come is asked for again.
    loaded.catch(() => this.#sheets.delete(uri));
    return loaded;
  }
}
