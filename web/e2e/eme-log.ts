// Notes the page's calls to the browser's decryption module (Encrypted Media Extensions).

import type { Page } from "playwright-core";

/** Call before the page is opened. */
export async function logEme(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const log: string[] = [];
    Object.assign(window, { emeLog: log });

    /** Notes each call of a method under its own name; `then` sees what it returned. */
    const note = (owner: object, name: string, then: (result: unknown) => void = () => {}) => {
      const method: unknown = Reflect.get(owner, name);
      if (typeof method !== "function") return;
      Reflect.set(owner, name, function (this: unknown, ...args: unknown[]) {
        log.push(name);
        const result: unknown = Reflect.apply(method, this, args);
        then(result);
        return result;
      });
    };
    // The session's events are noted before the player's own listeners act on them.
    const noteEvents = (session: unknown) => {
      if (!(session instanceof MediaKeySession)) return;
      session.addEventListener("message", () => log.push("message"));
      session.addEventListener("keystatuseschange", () => {
        session.keyStatuses.forEach((status) => log.push(status));
      });
    };
    note(Navigator.prototype, "requestMediaKeySystemAccess");
    note(MediaKeySystemAccess.prototype, "createMediaKeys");
    note(HTMLMediaElement.prototype, "setMediaKeys");
    note(MediaKeys.prototype, "createSession", noteEvents);
    note(MediaKeySession.prototype, "generateRequest");
    note(MediaKeySession.prototype, "update");
    document.addEventListener("encrypted", () => log.push("encrypted"), true);
    const send = window.fetch;
    window.fetch = (input, init) => {
      const url = input instanceof Request ? input.url : String(input);
      if (url.includes("/license/")) log.push("license request");
      return send(input, init);
    };
  });
}

export async function readEmeLog(page: Page): Promise<string[]> {
  return page.evaluate(() => (window as unknown as { emeLog: string[] }).emeLog);
}
