// Whether the pages themselves come without network: from the first download on, until the last.

import { Refusal } from "../service/problem";

const CACHE_PREFIX = "pages ";

/** Keeps the pages; throws a `Refusal` where the browser does not. */
export async function keepPages(): Promise<void> {
  try {
    await navigator.serviceWorker.register("/service-worker.js");
    await navigator.serviceWorker.ready;
  } catch {
    throw new Refusal({
      sentence: "This browser does not keep pages for times without a connection. Its settings may forbid it.",
      code: "pages_not_kept",
      status: null,
    });
  }
}

/** Nothing is downloaded any more. */
export async function dropPages(): Promise<void> {
  const found = await navigator.serviceWorker?.getRegistration("/");
  await found?.unregister();
  for (const name of await caches.keys()) if (name.startsWith(CACHE_PREFIX)) await caches.delete(name);
}
