// The downloads on the home page: what is kept, until when it plays, and how to delete it.

import { element, showRefusal } from "../dom";
import { forget } from "./download";
import { forgetPorts, shelf } from "./page-ports";
import { dropPages } from "./pages";
import { isOver, type DownloadRecord } from "./record";
import { downloadRefusal, stateText } from "./words";

/** Shows the list where there is something to show; answers whether there is. */
export async function showDownloads(): Promise<boolean> {
  if (!("caches" in window)) return false;
  const records = await shelf.records();
  element("downloads", HTMLElement).hidden = records.length === 0;
  element("downloads-list", HTMLUListElement).replaceChildren(...records.map(entry));
  return records.length > 0;
}

/** Tells the service of what was deleted while there was no connection. */
export async function settleDownloads(): Promise<void> {
  const owed = (await shelf.records()).filter(({ state }) => state === "given-back");
  // What fails is tried again at the next visit.
  for (const record of owed) await forget(record, forgetPorts()).catch(() => undefined);
  if (owed.length === 0) return;
  if (!(await showDownloads())) await dropPages();
}

function entry(record: DownloadRecord): HTMLLIElement {
  const item = document.createElement("li");
  const title = document.createElement("span");
  title.className = "name";
  title.textContent = record.name;
  const state = document.createElement("span");
  state.className = "note";
  state.textContent = stateText(record, Date.now());
  item.append(title, state);
  const path = `/watch/${encodeURIComponent(record.contentId)}`;
  if (record.state === "whole" && !isOver(record, Date.now())) {
    item.append(link("Play", `${path}?kept`, record));
  } else if (record.state !== "given-back") {
    item.append(link("Open", path, record));
  }
  item.append(deletion(record));
  return item;
}

function link(text: string, path: string, { name }: DownloadRecord): HTMLAnchorElement {
  const made = document.createElement("a");
  made.className = "quiet";
  made.href = path;
  made.textContent = text;
  made.setAttribute("aria-label", `${text} the download of ${name}`);
  return made;
}

function deletion(record: DownloadRecord): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Delete";
  button.setAttribute("aria-label", `Delete the download of ${record.name}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    const message = element("message", HTMLDivElement);
    message.hidden = true;
    try {
      await forget(record, forgetPorts());
    } catch (error) {
      showRefusal(message, downloadRefusal(error));
    }
    const isLeft = await showDownloads();
    element("downloads-status", HTMLParagraphElement).textContent = `${record.name} is deleted.`;
    if (!isLeft) await dropPages();
    document.querySelector<HTMLElement>(isLeft ? "#downloads-list .quiet" : "main a")?.focus();
  });
  return button;
}
