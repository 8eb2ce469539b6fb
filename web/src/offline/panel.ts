// The part of the watch page that downloads its title; not there where the browser cannot.

import { element, showRefusal } from "../dom";
import { Refusal } from "../service/problem";
import { keepingOf, type Codecs, type Keeping } from "./ability";
import { download, forget } from "./download";
import { downloadPorts, forgetPorts, shelf } from "./page-ports";
import { dropPages, keepPages } from "./pages";
import { isOver, type DownloadRecord } from "./record";
import { downloadRefusal, stateText } from "./words";

/** What is watched, as far as a download must know. */
export interface Watched {
  readonly contentId: string;
  readonly dialects: readonly string[];
  readonly codecs: Codecs;
  name(): string;
}

/** Shows the part where this browser can keep the title. */
export async function offerDownload(watched: Watched): Promise<void> {
  const keeping = await keepingOf(watched.dialects, watched.codecs);
  if (keeping === null) return;
  const panel = new Panel(watched, keeping);
  panel.show(await shelf.record(watched.contentId));
}

class Panel {
  readonly #words = element("download-words", HTMLParagraphElement);
  readonly #message = element("download-message", HTMLDivElement);
  readonly #progress = element("download-progress", HTMLProgressElement);
  readonly #quality = element("download-quality", HTMLSelectElement);
  readonly #start = element("download-start", HTMLButtonElement);
  readonly #stop = element("download-stop", HTMLButtonElement);
  readonly #delete = element("download-delete", HTMLButtonElement);
  #stopping = new AbortController();

  constructor(
    private readonly watched: Watched,
    private readonly keeping: Keeping,
  ) {
    this.#start.addEventListener("click", () => void this.#run(() => this.#download()));
    this.#stop.addEventListener("click", () => this.#stopping.abort());
    this.#delete.addEventListener("click", () => void this.#run(() => this.#forget()));
    element("download", HTMLElement).hidden = false;
  }

  /** Shows what is here, and what may be done. */
  show(record: DownloadRecord | null): void {
    this.#words.textContent = record === null ? "" : stateText(record, Date.now());
    this.#progress.hidden = this.#stop.hidden = true;
    const isBegun = record?.state === "fetching" && record.height !== null;
    const isThere = record !== null && (record.state === "whole" || isBegun) && !isOver(record, Date.now());
    // What is over, or was given back, is downloaded anew.
    this.#quality.hidden = isThere;
    this.#start.hidden = isThere && !isBegun;
    this.#start.textContent = isThere ? "Go on" : "Download";
    this.#delete.hidden = record === null;
  }

  /** Does one thing at a time, and says what went wrong. */
  async #run(act: () => Promise<void>): Promise<void> {
    const { contentId } = this.watched;
    this.#message.hidden = true;
    this.#start.disabled = this.#delete.disabled = true;
    try {
      await navigator.locks.request(`download ${contentId}`, { ifAvailable: true }, async (lock) => {
        if (lock === null) throw elsewhere();
        await act();
      });
    } catch (error) {
      showRefusal(this.#message, downloadRefusal(error));
    } finally {
      this.#start.disabled = this.#delete.disabled = false;
      const record = await shelf.record(contentId);
      this.show(record);
      if ((await shelf.records()).length === 0) await dropPages();
      // The button that was pressed may be gone.
      if (document.activeElement === document.body) {
        (this.#start.hidden ? this.#delete : this.#start).focus();
      }
    }
  }

  async #download(): Promise<void> {
    const { contentId, codecs } = this.watched;
    const wish = this.#quality.value === "small" ? "small" : "best";
    this.#stopping = new AbortController();
    this.#words.textContent = "Downloading. Keep this page open.";
    this.#start.hidden = this.#quality.hidden = this.#delete.hidden = true;
    this.#progress.hidden = this.#stop.hidden = false;
    this.#progress.value = 0;
    this.#stop.focus();
    await keepPages();
    // Without this a browser that lacks room may remove what is kept; it may say no.
    await navigator.storage?.persist?.().catch(() => false);
    await download(
      { contentId, name: this.watched.name(), dialect: this.keeping.system.dialect, codecs },
      downloadPorts(contentId, this.keeping, wish),
      (share) => (this.#progress.value = share),
      this.#stopping.signal,
    );
  }

  async #forget(): Promise<void> {
    const record = await shelf.record(this.watched.contentId);
    if (record !== null) await forget(record, forgetPorts());
  }
}

function elsewhere(): Refusal {
  return new Refusal({
    sentence: "Another window of this browser is downloading this title.",
    code: "download_elsewhere",
    status: null,
  });
}
