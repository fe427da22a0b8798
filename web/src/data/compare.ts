// A tile's comparison with the period before, both from history at one step, so that like is compared with like.
import type { History, Shift } from "../api/types";
import type { Grid } from "./grid";

export interface Comparison {
  /** Means of this period and of the one before; null where too little is known to compare. */
  readonly current: number | null;
  readonly previous: number | null;
  /** The middle 80 % of the period before: what was normal then. Null where nothing is known. */
  readonly normal: { readonly low: number; readonly high: number } | null;
}

export const steps = [
  ["1s", 1_000],
  ["10s", 10_000],
  ["1m", 60_000],
  ["5m", 300_000],
  ["15m", 900_000],
  ["1h", 3_600_000],
  ["6h", 21_600_000],
  ["1d", 86_400_000],
] as const;

/** The finest step the hub knows that covers the range with at most `points` windows. */
export function stepFor(rangeMs: number, points: number): (typeof steps)[number] {
  return steps.find(([, ms]) => rangeMs / ms <= points) ?? steps[steps.length - 1] ?? ["1d", 86_400_000];
}

export function stepName(stepMs: number): string {
  return steps.find(([, ms]) => ms === stepMs)?.[0] ?? `${stepMs / 1000}s`;
}

/** Fewer windows than this part of a period are too few to speak for it. */
const enough = 0.5;

/** Compares the windows after `splitMs` with those up to it; only ungrouped queries can be compared. */
export function compare(history: History, query: string, splitMs: number): Comparison {
  const told = anythingTold(history);
  const row = (history.queries[query]?.values[0] ?? []).map((v, i) => (told[i] === true ? v : null));
  const before = history.ends.map((end) => end <= splitMs);
  const half = (old: boolean): { values: number[]; slots: number } => {
    const slots = before.filter((b) => b === old).length;
    return { slots, values: row.filter((v, i): v is number => v !== null && before[i] === old) };
  };
  const previous = half(true);
  return { current: mean(half(false)), previous: mean(previous), normal: middle(previous.values) };
}

/** Which windows hold anything but counts of nothing: those before the first data are no zeros to compare with. */
function anythingTold({ ends, queries }: History): boolean[] {
  const rows = Object.values(queries).flatMap((columns) => columns.values);
  return ends.map((_, i) => rows.some((row) => (row[i] ?? 0) !== 0));
}

/** Windows that a tile is compared by: one second is no news. */
export const comparedWindows = 60;

/** The means of the newest windows, and of those they are compared with: of the same windows on both sides. */
export function compareShifted(grid: Grid, query: string, key: string, shift: Shift, viewEnd: number): { current: number | null; previous: number | null } {
  const first = viewEnd - (comparedWindows - 1) * grid.stepMs;
  const now = grid.read(query, key, first, viewEnd);
  const then = grid.past.read(shift, query, first, viewEnd);
  const both = (row: Float64Array): number[] => [...row].filter((_, i) => !Number.isNaN((now[i] ?? NaN) + (then[i] ?? NaN)));
  return { current: mean({ values: both(now), slots: comparedWindows }), previous: mean({ values: both(then), slots: comparedWindows }) };
}

function mean({ values, slots }: { values: readonly number[]; slots: number }): number | null {
  if (values.length === 0 || values.length < slots * enough) return null;
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}

function middle(values: readonly number[]): Comparison["normal"] {
  if (values.length < 10) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (p: number): number => sorted[Math.floor((sorted.length - 1) * p)] ?? NaN;
  return { low: at(0.1), high: at(0.9) };
}
