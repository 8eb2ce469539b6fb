// Who is signed in, and the way out.

import { element } from "./dom";
import { signOut } from "./service/api";
import { Refusal } from "./service/problem";

export function accountMenu(name: string): void {
  element("account-name", HTMLSpanElement).textContent = name;
  const button = element("sign-out", HTMLButtonElement);
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await signOut();
    } catch (error) {
      // A session that is already gone is what was asked for.
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
    }
    location.assign("/sign-in");
  });
}
