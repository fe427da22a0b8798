// How frames and history become windows of the grid. Windows are named by their end, so nothing can be counted twice:
// whatever comes again is written to the same place.
import type { Columns, Frame, Gap, History, Row, Snapshot, Tick } from "../api/types";
import { groupKey, type Grid } from "./grid";

export function applySnapshot(grid: Grid, snapshot: Snapshot): void {
  grid.advance(snapshot.end);
  for (const [query, columns] of Object.entries(snapshot.queries)) {
    grid.setGroups(query, columns.groups);
    // A missing value never wipes out one that history gave.
    columns.values.forEach((row, g) => {
      eachPresent(row, (i, value) => {
        grid.put(query, groupKey(columns.groups[g] ?? {}), snapshot.since + i * grid.stepMs, value);
      });
    });
  }
  grid.mark(snapshot.since, snapshot.end, "stream");
  grid.past.put(snapshot.past);
}

/**
 * Applies a tick. Ticks the hub left out held nothing: their windows are known to be empty. History may have been ahead of
 * the stream; such a tick is applied all the same, for the next ones' values are in the order of its groups.
 */
export function applyTick(grid: Grid, tick: Tick): void {
  const first = grid.end === 0 ? tick.end : Math.min(tick.end, grid.end + grid.stepMs);
  grid.advance(tick.end);
  grid.mark(first, tick.end, "stream");
  applyFrame(grid, tick);
  for (const amended of tick.amend) amend(grid, amended);
  grid.past.put(tick.past);
}

/** Windows before a break of the stream that it did not get to amend. */
export const unsettledWindows = 10;

/** Makes the windows of a gap unknown, so that history is asked for them, and has history settle those before it. */
export function applyGap(grid: Grid, gap: Gap): void {
  for (let end = gap.from - unsettledWindows * grid.stepMs; end < gap.from; end += grid.stepMs) {
    if (grid.known(end)) grid.mark(end, end, "history");
  }
  grid.mark(gap.from, gap.to, "nobody");
}

/**
 * Fills in what history has. Values of the stream stay: history carries a last value over windows whose samples are not
 * stored yet. The stream's groups stay as they are, too: history may name hosts that left.
 */
export function applyHistory(grid: Grid, history: History): void {
  const newest = history.ends.at(-1);
  if (newest === undefined) return;
  if (grid.end === 0) grid.advance(newest);
  const seen = new Set<number>();
  for (const [query, columns] of Object.entries(history.queries)) {
    columns.groups.forEach((group, g) => {
      const key = groupKey(group);
      eachPresent(columns.values[g] ?? [], (i, value) => {
        const end = history.ends[i] ?? 0;
        seen.add(end);
        if (grid.teller(end) !== "stream" || Number.isNaN(grid.value(query, key, end))) grid.put(query, key, end, value);
      });
    });
    grid.name(query, columns.groups);
    if (grid.groups(query).length === 0) grid.setGroups(query, columns.groups);
  }
  for (const end of seen) if (!grid.known(end)) grid.mark(end, end, "history");
}

function applyFrame(grid: Grid, frame: Frame): void {
  for (const [query, groups] of Object.entries(frame.groups)) grid.setGroups(query, groups);
  for (const [query, row] of Object.entries(frame.values)) {
    const keys = grid.keys(query);
    eachPresent(row, (i, value) => {
      const key = keys[i];
      if (key !== undefined) grid.put(query, key, frame.end, value);
    });
  }
}

/** An amended window replaces what was there, missing values included. */
function amend(grid: Grid, frame: Frame): void {
  for (const [query, row] of Object.entries(frame.values)) {
    const keys = frame.groups[query]?.map(groupKey) ?? grid.keys(query);
    row.forEach((value, i) => {
      const key = keys[i];
      if (key !== undefined) grid.put(query, key, frame.end, value ?? NaN);
    });
  }
}

function eachPresent(row: Row, visit: (i: number, value: number) => void): void {
  row.forEach((value, i) => {
    if (value !== null) visit(i, value);
  });
}

/** The `count` windows up to `end` as a snapshot, for a tab that joins another one's stream; null before the first. */
export function snapshotOf(grid: Grid, queries: readonly string[], count: number, end: number): Snapshot | null {
  if (end === 0) return null;
  let since = end;
  while ((end - since) / grid.stepMs < count - 1 && grid.known(since - grid.stepMs)) since -= grid.stepMs;
  const columnsOf = (query: string): Columns => ({
    groups: grid.groups(query),
    values: grid.keys(query).map((key) => Array.from(grid.read(query, key, since, end), (v) => (Number.isNaN(v) ? null : v))),
  });
  return {
    type: "snapshot",
    end,
    since,
    queries: Object.fromEntries(queries.map((query) => [query, columnsOf(query)])),
    past: grid.past.all(),
  };
}
