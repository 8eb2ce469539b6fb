// The service worker: brings the pages where there is no network, so that downloads play.
//
// It keeps the pages' own files and nothing else: no answer of the service, no media, no title. The
// network is asked first, always: what is kept here is shown only where no answer comes.

/** The files of this build and a name for them; the build writes both. */
declare const FILES: readonly string[];
declare const VERSION: string;

const CACHE_PREFIX = "pages ";

/** The types of this world clash with those of pages; these are the parts that are used. */
interface WorkerEvent extends Event {
  readonly request: Request;
  waitUntil(work: Promise<unknown>): void;
  respondWith(answer: Promise<Response>): void;
}
interface Worker {
  readonly location: Location;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(name: string, act: (event: WorkerEvent) => void): void;
}
const worker = self as unknown as Worker;

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(activate()));
worker.addEventListener("fetch", (event) => {
  const kept = keptFor(event.request);
  if (kept !== null) event.respondWith(answer(event.request, kept));
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE_PREFIX + VERSION);
  await cache.addAll(FILES.map((name) => `/assets/${name}`));
  await worker.skipWaiting();
}

async function activate(): Promise<void> {
  const old = (await caches.keys()).filter(
    (name) => name.startsWith(CACHE_PREFIX) && name !== CACHE_PREFIX + VERSION,
  );
  await Promise.all(old.map((name) => caches.delete(name)));
  await worker.clients.claim();
}

/** The file that stands in for an answer that does not come; `null`: not a matter of ours. */
function keptFor(request: Request): string | null {
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== worker.location.origin) return null;
  if (url.pathname.startsWith("/assets/")) return url.pathname;
  if (request.mode !== "navigate") return null;
  if (url.pathname === "/") return "/assets/index.html";
  return /^\/watch\/[^/]+$/.test(url.pathname) ? "/assets/watch.html" : null;
}

async function answer(request: Request, kept: string): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const found = await (await caches.open(CACHE_PREFIX + VERSION)).match(kept);
    if (found === undefined) throw error;
    return found;
  }
}
