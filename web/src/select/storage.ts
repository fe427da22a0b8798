// How storing goes: is history behind, and do agents still send what they kept?
import type { Dashboard } from "../api/types";
import { groupKey, type Grid } from "../data/grid";
import { latest } from "./read";

export type StorageState =
  | { readonly kind: "well" }
  /** Nothing is stored at this moment; since 0: for longer than the page remembers. */
  | { readonly kind: "behind"; readonly reason: string; readonly since: number; readonly batches: number }
  /** Stored again, while agents send what they kept; leftMs null: nobody can tell how long that takes. */
  | { readonly kind: "draining"; readonly batches: number; readonly leftMs: number | null };

const well: StorageState = { kind: "well" };

/** Batches that an agent holds while all is well: the newest ones, whose acknowledgement is under way. */
const usual = 5;
/** What it takes to speak of a backlog at all. */
const notable = 10;

export function storageState(dashboard: Dashboard, grid: Grid, end: number): StorageState {
  const { storage } = dashboard;
  if (storage === null) return well;
  const batches = present(grid, storage.backlog, end);
  for (const group of grid.groups(storage.behind)) {
    const key = groupKey(group);
    const now = latest(grid, storage.behind, key, end);
    if (now.current && now.value > 0) return { kind: "behind", reason: group["reason"] ?? "", since: began(grid, storage.behind, key, now.end), batches };
  }
  const least = notable + usual * present(grid, storage.senders, end);
  if (batches <= least) return well;
  return { kind: "draining", batches, leftMs: left(grid, storage.backlog, end, batches - least) };
}

function present(grid: Grid, query: string, end: number): number {
  const { value, current } = latest(grid, query, grid.keys(query)[0] ?? "", end);
  return current ? value : 0;
}

/** End of the window in which a flag rose; 0 where that is before what is remembered. */
function began(grid: Grid, query: string, key: string, end: number): number {
  let since = end;
  for (let at = end; at >= grid.oldest; at -= grid.stepMs) {
    const value = grid.value(query, key, at);
    if (value > 0) since = at;
    else if (value === 0) return since;
  }
  return 0;
}

/** Windows by which the pace is judged. */
const paceWindows = 20;

/** How long it takes at the pace of the last windows; null where it does not get less. */
function left(grid: Grid, query: string, end: number, batches: number): number | null {
  const key = grid.keys(query)[0] ?? "";
  const values = [...grid.read(query, key, end - (paceWindows - 1) * grid.stepMs, end)];
  const first = values.findIndex((v) => !Number.isNaN(v));
  const last = values.findLastIndex((v) => !Number.isNaN(v));
  // A handful of windows would be a guess.
  if (first < 0 || last - first < paceWindows / 4) return null;
  const perWindow = ((values[first] ?? 0) - (values[last] ?? 0)) / (last - first);
  return perWindow > 0 ? Math.ceil(batches / perWindow) * grid.stepMs : null;
}
