import type { Thresholds } from "../api/types";

/** From quiet to loud. A silent host is worse than a warning: nobody knows how it is. */
export const levels = ["ok", "warning", "unknown", "critical"] as const;
export type Level = (typeof levels)[number];

export const rank = (level: Level): number => levels.indexOf(level);

export function worst(all: Iterable<Level>): Level {
  let found: Level = "ok";
  for (const level of all) if (rank(level) > rank(found)) found = level;
  return found;
}

/** Judges one value. Where critical lies below warning, low values are the bad ones. */
export function levelOf(value: number, { warn, crit }: Thresholds): Level {
  if (Number.isNaN(value)) return "ok";
  const lowIsBad = warn !== null && crit !== null && crit < warn;
  const past = (limit: number | null): boolean => limit !== null && (lowIsBad ? value <= limit : value >= limit);
  if (past(crit)) return "critical";
  return past(warn) ? "warning" : "ok";
}
