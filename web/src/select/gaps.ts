// What agents declare lost, in words.
import type { DeclaredGap } from "../api/types";
import { full } from "../format/number";
import { clockTime, dayTime, span } from "../format/time";
import { t } from "../strings";

/** "12 s lost (80 samples), 08:15:03, unclean stop". How many samples is said only where the agent knows it. */
export function gapText(gap: DeclaredGap, nowMs: number): string {
  const count = gap.count === null ? "" : ` (${t.samples(full(gap.count), gap.count)})`;
  const when = nowMs - gap.from < 12 * 3_600_000 ? clockTime(gap.from) : dayTime(gap.from);
  return `${lostText(gap)}${count}, ${when}, ${t.gapReasons[gap.reason] ?? gap.reason}`;
}

/** How much time is lost: there may be less than a second of it. */
export const lostText = (gap: DeclaredGap): string => t.lost(span(Math.max(1000, gap.to - gap.from)));

/** The time lost of each agent by gaps that touch the range, for a table: "12 s lost", by agent. */
export function lostByAgent(gaps: readonly DeclaredGap[], from: number, to: number): ReadonlyMap<string, string> {
  const totals = new Map<string, number>();
  for (const gap of gaps) {
    if (gap.to < from || gap.from > to) continue;
    totals.set(gap.agent, (totals.get(gap.agent) ?? 0) + Math.max(1000, gap.to - gap.from));
  }
  return new Map([...totals].map(([agent, ms]) => [agent, t.lost(span(ms))]));
}
