// Who is signed in, and the way out.

import { element, showRefusal } from "./dom";
import { signOut } from "./service/api";
import { Refusal } from "./service/problem";

export function accountMenu(name: string): void {
  element("account-name", HTMLSpanElement).textContent = name;
  const button = element("sign-out", HTMLButtonElement);
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await signOut();
      location.assign("/sign-in");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      showRefusal(element("message", HTMLDivElement), error);
    }
  });
}
