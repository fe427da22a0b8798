// What an address of the app means.

export type Route =
  | { readonly page: "overview" }
  | { readonly page: "host"; readonly agent: string }
  | { readonly page: "login"; readonly next: string }
  | { readonly page: "unknown" };

export function parseRoute(path: string, params: URLSearchParams): Route {
  if (path === "/") return { page: "overview" };
  if (path === "/login") return { page: "login", next: ownPath(params.get("next")) };
  const host = /^\/hosts\/([^/]+)\/?$/.exec(path)?.[1];
  if (host === undefined) return { page: "unknown" };
  try {
    return { page: "host", agent: decodeURIComponent(host) };
  } catch {
    return { page: "unknown" };
  }
}

/** Where to go after signing in: a path of this page, never another site. */
export function ownPath(next: string | null): string {
  return next !== null && /^\/(?![/\\])/.test(next) && !next.startsWith("/login") ? next : "/";
}
