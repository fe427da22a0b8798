import { Store } from "./lib/store";
import { parseRoute, type Route } from "./route";

const here = (): Route => parseRoute(location.pathname, new URLSearchParams(location.search));

export const router = new Store<{ readonly route: Route }>({ route: here() });

export function go(path: string, replace = false): void {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  router.set({ route: here() });
  window.scrollTo(0, 0);
}

export function goToSignIn(): void {
  if (router.get().route.page === "login") return;
  const next = location.pathname + location.search;
  go(next === "/" ? "/login?ended=1" : `/login?ended=1&next=${encodeURIComponent(next)}`, true);
}

/** The address of another page of the app; what the address says of the view (kiosk, theme) stays. */
export function keepView(path: string): string {
  const kept = new URLSearchParams();
  const now = new URLSearchParams(location.search);
  for (const name of ["kiosk", "theme"]) {
    const value = now.get(name);
    if (value !== null) kept.set(name, value);
  }
  const query = kept.toString();
  return query === "" ? path : `${path}?${query}`;
}

/** Follows links within the app without loading the page anew. */
export function startRouter(): void {
  window.addEventListener("popstate", () => {
    router.set({ route: here() });
  });
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.origin !== location.origin || link.target !== "" || link.hash !== "") return;
    event.preventDefault();
    go(keepView(link.pathname) + (link.search === "" ? "" : link.search));
  });
}
