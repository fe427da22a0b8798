// Reading the grid as of one window: the newest value, the judged value, and since when it is bad.
import type { Thresholds } from "../api/types";
import type { Grid } from "../data/grid";
import { levelOf, type Level } from "./level";

export interface Latest {
  /** NaN where nothing is remembered. */
  readonly value: number;
  readonly end: number;
  /** The value is the present state of things, not a last known one. */
  readonly current: boolean;
}

/** A sample may come just too late for its window and be amended in the next: that is no reason to say "no data". */
const grace = 3;

export function latest(grid: Grid, query: string, key: string, viewEnd: number): Latest {
  const oldest = Math.max(grid.oldest, viewEnd - 900 * grid.stepMs);
  for (let end = viewEnd; end >= oldest; end -= grid.stepMs) {
    const value = grid.value(query, key, end);
    if (!Number.isNaN(value)) return { value, end, current: viewEnd - end < grace * grid.stepMs };
  }
  return { value: NaN, end: 0, current: false };
}

/** Windows whose median is judged: one busy second is no alarm, and one quiet second does not end one. */
const judged = 10;

/** The median of the values of the `judged` windows up to `end`; NaN where fewer than a third have one. */
export function steady(grid: Grid, query: string, key: string, end: number): number {
  const values = grid.read(query, key, end - (judged - 1) * grid.stepMs, end).filter((v) => !Number.isNaN(v));
  if (values.length < judged / 3) return NaN;
  return values.sort()[values.length >> 1] ?? NaN;
}

export interface Judgement {
  readonly level: Level;
  readonly value: number;
  /** When the value became bad; 0 where it was already before what is remembered. */
  readonly since: number;
}

export function judge(grid: Grid, query: string, key: string, viewEnd: number, limits: Thresholds): Judgement {
  const value = steady(grid, query, key, viewEnd);
  const level = levelOf(value, limits);
  if (level === "ok") return { level, value, since: 0 };
  // Going back from now, the breach begins where a run of good windows ends it.
  let since = viewEnd;
  let good = 0;
  for (let end = viewEnd; end > viewEnd - 900 * grid.stepMs; end -= grid.stepMs) {
    const past = grid.value(query, key, end);
    if (Number.isNaN(past)) {
      if (!grid.known(end)) return { level, value, since: 0 };
      continue;
    }
    if (levelOf(past, limits) !== "ok") {
      since = end;
      good = 0;
    } else if (++good > judged / 2) return { level, value, since };
  }
  return { level, value, since: 0 };
}
