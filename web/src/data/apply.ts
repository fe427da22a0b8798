// How frames and history become windows of the grid. Windows are named by their end, so nothing can be counted twice:
// whatever comes again is written to the same place.
import type { Columns, Frame, Gap, Group, History, Row, Snapshot, Tick } from "../api/types";
import { groupKey, type Grid } from "./grid";

export function applySnapshot(grid: Grid, snapshot: Snapshot): void {
  grid.advance(snapshot.end);
  for (const [query, columns] of Object.entries(snapshot.queries)) {
    grid.setGroups(query, columns.groups);
    fill(grid, query, columns, (i) => snapshot.since + i * grid.stepMs);
  }
  grid.mark(snapshot.since, snapshot.end, true);
}

/** Applies a tick, and returns whether it was new. Ticks the hub left out held nothing: their windows are known to be empty. */
export function applyTick(grid: Grid, tick: Tick): boolean {
  if (tick.end <= grid.end) return false;
  const first = grid.end === 0 ? tick.end : grid.end + grid.stepMs;
  grid.advance(tick.end);
  grid.mark(first, tick.end, true);
  applyFrame(grid, tick);
  for (const amended of tick.amend) amend(grid, amended);
  return true;
}

/** Forgets that the windows of a gap are known, so that history is asked for them. */
export function applyGap(grid: Grid, gap: Gap): void {
  grid.mark(gap.from, gap.to, false);
}

/** Fills in what history has. The stream's groups stay as they are: history may name hosts that left. */
export function applyHistory(grid: Grid, history: History): void {
  const newest = history.ends.at(-1);
  if (newest === undefined) return;
  if (grid.end === 0) grid.advance(newest);
  const seen = new Set<number>();
  for (const [query, columns] of Object.entries(history.queries)) {
    fill(grid, query, columns, (i) => history.ends[i] ?? 0, seen);
    if (grid.groups(query).length === 0) grid.setGroups(query, columns.groups);
  }
  for (const end of seen) grid.mark(end, end, true);
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

/** Writes the values that are there. A missing one never wipes out a value that came by the other way. */
function fill(grid: Grid, query: string, columns: Columns, endOf: (i: number) => number, seen?: Set<number>): void {
  columns.groups.forEach((group: Group, g) => {
    const key = groupKey(group);
    eachPresent(columns.values[g] ?? [], (i, value) => {
      grid.put(query, key, endOf(i), value);
      seen?.add(endOf(i));
    });
  });
}

function eachPresent(row: Row, visit: (i: number, value: number) => void): void {
  row.forEach((value, i) => {
    if (value !== null) visit(i, value);
  });
}

/** The newest `count` windows as a snapshot, for a tab that joins another one's stream. */
export function snapshotOf(grid: Grid, queries: readonly string[], count: number): Snapshot | null {
  if (grid.end === 0) return null;
  let since = grid.end;
  while ((grid.end - since) / grid.stepMs < count - 1 && grid.known(since - grid.stepMs)) since -= grid.stepMs;
  const columnsOf = (query: string): Columns => ({
    groups: grid.groups(query),
    values: grid.keys(query).map((key) => Array.from(grid.read(query, key, since, grid.end), (v) => (Number.isNaN(v) ? null : v))),
  });
  return {
    type: "snapshot",
    end: grid.end,
    since,
    queries: Object.fromEntries(queries.map((query) => [query, columnsOf(query)])),
  };
}
