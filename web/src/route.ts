// What an address of the app means.

export type Route =
  | { readonly page: "overview" }
  | { readonly page: "host"; readonly agent: string }
  | { readonly page: "board"; readonly id: string }
  | { readonly page: "login"; readonly next: string }
  | { readonly page: "unknown" };

export function parseRoute(path: string, params: URLSearchParams): Route {
  if (path === "/") return { page: "overview" };
  if (path === "/login") return { page: "login", next: ownPath(params.get("next")) };
  const [, kind, name] = /^\/(hosts|d)\/([^/]+)\/?$/.exec(path) ?? [];
  if (name === undefined) return { page: "unknown" };
  try {
    const text = decodeURIComponent(name);
    return kind === "d" ? { page: "board", id: text } : { page: "host", agent: text };
  } catch {
    return { page: "unknown" };
  }
}

/** Where to go after signing in: a path of this page, never another site. */
export function ownPath(next: string | null): string {
  return next !== null && /^\/(?![/\\])/.test(next) && !next.startsWith("/login") ? next : "/";
}
