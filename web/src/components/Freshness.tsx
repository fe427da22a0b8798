import type { JSX } from "preact";
import { clockTime, fullTime, sinceTime, span } from "../format/time";
import type { Freshness } from "../stream/freshness";
import { t } from "../strings";

export interface FreshnessProps {
  readonly freshness: Freshness;
  readonly newestMs: number;
  readonly nowMs: number;
  /** End of the newest window shown, where the page is paused. */
  readonly pausedAt: number | null;
}

/** Says whether this is live: mark, word and age. */
export function FreshnessLabel({ freshness, newestMs, nowMs, pausedAt }: FreshnessProps): JSX.Element {
  const kind = pausedAt === null ? freshness.kind : "paused";
  const [word, age] = pausedAt === null ? words(freshness, nowMs) : [t.pausedAt(clockTime(pausedAt)), freshness.kind === "live" ? "" : t.fresh[freshness.kind]];
  const title = newestMs === 0 ? "" : t.dataFrom(fullTime(newestMs)) + (pausedAt === null ? "" : ` ${t.pausedHint}`);
  return (
    <p class={`fresh fresh-${kind}`} data-freshness={kind} title={title}>
      <span class="fresh-mark" aria-hidden="true" />
      <span class="fresh-word">{word}</span>
      <span class="fresh-age">{age}</span>
    </p>
  );
}

function words(f: Freshness, nowMs: number): [string, string] {
  switch (f.kind) {
    case "connecting":
    case "waiting":
      return [t.fresh[f.kind], ""];
    case "live":
      return [t.fresh.live, span(f.ageMs)];
    case "delayed":
      return [t.fresh.delayed, span(f.ageMs)];
    case "reconnecting":
    case "offline":
      return [t.fresh[f.kind], f.ageMs === null ? "" : span(f.ageMs)];
    case "stale":
      return [t.staleSince(sinceTime(f.sinceMs, nowMs)), f.lost ? t.fresh.reconnecting : span(nowMs - f.sinceMs)];
  }
}
