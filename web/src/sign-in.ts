// The sign-in page.

import { element, showRefusal } from "./dom";
import { signIn } from "./service/api";
import { returnPath } from "./service/return-path";
import { Refusal } from "./service/problem";

export function signInPage(): void {
  const form = element("sign-in", HTMLFormElement);
  const name = element("name", HTMLInputElement);
  const password = element("password", HTMLInputElement);
  const submit = element("submit", HTMLButtonElement);
  const message = element("message", HTMLDivElement);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    message.hidden = true;
    try {
      await signIn(name.value, password.value);
      location.replace(returnPath(location.search));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      showRefusal(message, error);
      password.value = "";
      password.focus();
    } finally {
      submit.disabled = false;
    }
  });
}
