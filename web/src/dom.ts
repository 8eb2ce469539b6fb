// Finding elements, and the one way a page shows a refusal.

import type { Refusal } from "./service/problem";

/** The element with this id; the pages and scripts are built together, so it is there. */
export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/** Shows a refusal in words, its code and correlation id small below. */
export function showRefusal(box: HTMLElement, refusal: Refusal): void {
  const sentence = document.createElement("p");
  sentence.className = "sentence";
  sentence.textContent = refusal.sentence;
  const reference = document.createElement("p");
  reference.className = "reference";
  reference.textContent = refusal.reference;
  box.replaceChildren(sentence, reference);
  box.hidden = false;
}
