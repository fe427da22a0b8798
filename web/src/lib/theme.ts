import { Store } from "./store";
import { load, save } from "./saved";

export const themes = ["auto", "dark", "light"] as const;
export type Theme = (typeof themes)[number];

const parse = (value: string | null): Theme | null => themes.find((theme) => theme === value) ?? null;

/** The chosen theme, and a count that grows with each change of colours, whoever made it: charts redraw on it. */
export const theme = new Store<{ readonly choice: Theme; readonly changes: number }>({ choice: "auto", changes: 0 });

/** Applies the theme of the address, else the saved one, else `fallback`, and follows the system's from then on. */
export function startTheme(params: URLSearchParams, fallback: Theme): void {
  apply(parse(params.get("theme")) ?? parse(load("theme")) ?? fallback);
  for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)", "(forced-colors: active)"]) {
    window.matchMedia(query).addEventListener("change", changed);
  }
  // Charts measure text: they are made anew once the page's font is there. Without it they stay as they are.
  document.fonts.load('500 11px "Inter"').then(changed, () => undefined);
}

export function chooseTheme(choice: Theme): void {
  save("theme", choice);
  apply(choice);
}

export function nextTheme(choice: Theme): Theme {
  return themes[(themes.indexOf(choice) + 1) % themes.length] ?? "auto";
}

function apply(choice: Theme): void {
  if (choice === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = choice;
  theme.set({ choice });
  changed();
}

function changed(): void {
  theme.set({ changes: theme.get().changes + 1 });
}

/** The value of a design token as it stands now. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
