// The home page: the titles this viewer may see.

import { element, showRefusal } from "./dom";
import { accountName, titles, type CatalogTitle } from "./service/api";
import { Refusal } from "./service/problem";
import { signInPath } from "./service/return-path";
import { accountMenu } from "./account-menu";
import { settleDownloads, showDownloads } from "./offline/list";

export async function catalogPage(): Promise<void> {
  const list = element("titles", HTMLUListElement);
  const empty = element("empty", HTMLParagraphElement);
  const message = element("message", HTMLDivElement);
  const hasDownloads = await showDownloads();
  try {
    const [name, found] = await Promise.all([accountName(), titles()]);
    accountMenu(name);
    list.replaceChildren(...found.map(card));
    empty.hidden = found.length > 0;
    void settleDownloads();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401) location.replace(signInPath("/"));
    else if (error.status === 0 && hasDownloads) {
      element("unconnected", HTMLParagraphElement).hidden = false;
    }
    else showRefusal(message, error);
  } finally {
    list.removeAttribute("aria-busy");
  }
}

function card(title: CatalogTitle): HTMLLIElement {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.className = "card";
  const poster = document.createElement("span");
  poster.className = "poster";
  poster.setAttribute("aria-hidden", "true");
  poster.textContent = title.name.slice(0, 1).toUpperCase();
  poster.style.setProperty("--hue", String(hueOf(title.contentId)));
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = title.name;
  link.append(poster, name);
  if (title.isPlayable) {
    link.href = `/watch/${encodeURIComponent(title.contentId)}`;
  } else {
    link.setAttribute("aria-disabled", "true");
    const note = document.createElement("span");
    note.className = "note";
    note.textContent = "Not ready yet";
    link.append(note);
  }
  item.append(link);
  return item;
}

/** A color of its own for each title, the same on every visit. */
function hueOf(contentId: string): number {
  let sum = 0;
  for (const letter of contentId) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360;
  return sum;
}
