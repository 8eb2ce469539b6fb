// Where sign-in leads back to.

/** Name of the query parameter; the server sets it when it sends a viewer to sign in. */
const PARAMETER = "next";

/**
 * The page to go to after sign-in: the one asked for, if it is a path of this site,
 * else the catalog. Never another origin.
 */
export function returnPath(query: string): string {
  const wanted = new URLSearchParams(query).get(PARAMETER);
  if (wanted === null || !wanted.startsWith("/")) return "/";
  // Browsers read `//host` and `/\host` as another origin, and drop tabs and line ends first.
  if (/[\\\u0000-\u001f]/.test(wanted)) return "/";
  const home = "http://site.invalid";
  let url: URL;
  try {
    url = new URL(wanted, home);
  } catch {
    return "/";
  }
  // `/..//host` normalizes to `//host`.
  const isOurs = url.origin === home && !url.pathname.startsWith("//");
  return isOurs ? url.pathname + url.search + url.hash : "/";
}

/** The sign-in page that leads back to `path`. */
export function signInPath(path: string): string {
  return `/sign-in?${PARAMETER}=${encodeURIComponent(path)}`;
}
