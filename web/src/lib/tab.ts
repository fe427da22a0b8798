// The tab's title and icon carry the state, for those who look elsewhere.
import { shapes } from "../components/icons";
import type { Level } from "../select/level";
import type { Freshness } from "../stream/freshness";
import { t } from "../strings";
import { token } from "./theme";

const tokens: Readonly<Record<Level, string>> = { ok: "ok", warning: "warn", critical: "crit", unknown: "muted" };

export function tabTitle(level: Level, exceptions: number, freshness: Freshness["kind"], place: string): string {
  const name = `${place} – ${t.product}`;
  if (freshness === "stale" || freshness === "reconnecting" || freshness === "offline") return `${t.fresh[freshness]} – ${name}`;
  return exceptions === 0 ? name : `(${exceptions}) ${t.heading[level]} – ${name}`;
}

export function setTabIcon(level: Level): void {
  const color = token(tokens[level]);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="${color}" stroke="${color}">${shapes[level]}</svg>`;
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  if (link !== null) link.href = `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
