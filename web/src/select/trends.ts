import type { Group, TrendDef } from "../api/types";
import { groupKey, type Grid } from "../data/grid";
import { t } from "../strings";

/** More lines than this cannot be told apart; the table has the rest. */
export const maxLines = 5;

export interface Line {
  /** Names the line among all of its trend, as its label may not. */
  readonly id: string;
  readonly label: string;
  readonly values: Float64Array;
  /** Index of the series colour. */
  readonly slot: number;
}

export interface TrendData {
  readonly lines: readonly Line[];
  /** The same lines at an earlier time, those that are known of it. */
  readonly past: readonly Line[];
  /** All lines there are, shown or not. */
  readonly total: number;
  /** End of the first and of the last window. */
  readonly first: number;
  readonly last: number;
}

interface Candidate {
  readonly id: string;
  readonly query: string;
  readonly key: string;
  readonly label: string;
}

/** What a trend remembers between two looks, so that lines and colours stay: which lines it shows, and since when. */
export interface TrendMemory {
  readonly chosen: readonly string[];
  readonly decidedAt: number;
  readonly slots: ReadonlyMap<string, number>;
}

export const noMemory: TrendMemory = { chosen: [], decidedAt: 0, slots: new Map() };
const decideEveryMs = 60_000;
/** By how much a line must outweigh the least of those shown to take its place: lines of like size do not take turns. */
const clearly = 1.5;

export function trendData(trend: TrendDef, grid: Grid, viewEnd: number, rangeMs: number, memory: TrendMemory): [TrendData, TrendMemory] {
  const first = viewEnd - rangeMs + grid.stepMs;
  const all = candidates(trend, grid, first);
  const next = choose(all, grid, first, viewEnd, memory);
  // In the order of their colours, so that a line that comes takes the place of the one that went.
  const lines = all
    .filter((line) => next.chosen.includes(line.id))
    .map((line) => ({
      id: line.id,
      label: line.label,
      values: grid.read(line.query, line.key, first, viewEnd),
      slot: next.slots.get(line.id) ?? 0,
    }))
    .sort((a, b) => a.slot - b.slot);
  return [{ lines, past: pastLines(trend, lines, grid, first, viewEnd), total: all.length, first, last: viewEnd }, next];
}

/** A compared trend's queries have no groups, so that each has one line. */
function pastLines({ compare, lines: defined }: TrendDef, lines: readonly Line[], grid: Grid, first: number, last: number): Line[] {
  if (compare === null) return [];
  return lines
    .map((line) => {
      const query = defined.find((def) => line.id === lineId(def.query, ""))?.query ?? "";
      return { id: `${line.id}\n${compare}`, label: t.lineThen(line.label, t.shift[compare]), values: grid.past.read(compare, query, first, last), slot: line.slot };
    })
    .filter((line) => line.values.some((v) => !Number.isNaN(v)));
}

const lineId = (query: string, key: string): string => `${query}\n${key}`;

/** Windows that others must have had values for before a trend without any counts as not measured: some are sampled rarely. */
const settledWindows = 30;

/** The trends without a value, where others have had theirs for a while; none where nothing is known at all. */
export function unmeasured(trends: ReadonlyMap<string, TrendData>, stepMs: number): Set<string> {
  const known = (values: Float64Array): boolean => values.some((v) => !Number.isNaN(v));
  const settled = [...trends.values()].some(({ lines, first, last }) => {
    const old = Math.max(0, Math.round((last - first) / stepMs) + 1 - settledWindows);
    return lines.some((line) => known(line.values.subarray(0, old)));
  });
  if (!settled) return new Set();
  return new Set([...trends].filter(([, { lines }]) => !lines.some((line) => known(line.values))).map(([id]) => id));
}

/** Fills a label's {names} in; where that would leave lines alike or nameless, the groups' own names are added. */
export function lineLabel(template: string, group: Group, several: boolean): string {
  const filled = template.replace(/\{([^}]+)\}/g, (_all, name: string) => group[name] ?? "");
  if (filled.trim() !== "" && (!several || filled !== template)) return filled;
  const names = Object.values(group).join(" ");
  return `${filled.trim()} ${names}`.trim();
}

function candidates(trend: TrendDef, grid: Grid, first: number): Candidate[] {
  return trend.lines.flatMap(({ query, label }) => {
    const groups = grid.groupsSince(query, first);
    return groups.map((group) => {
      const key = groupKey(group);
      return { id: lineId(query, key), query, key, label: lineLabel(label, group, groups.length > 1) };
    });
  });
}

function choose(all: readonly Candidate[], grid: Grid, first: number, last: number, memory: TrendMemory): TrendMemory {
  const ids = all.map((line) => line.id);
  const there = new Set(ids);
  const lasting = memory.chosen.filter((id) => there.has(id));
  const full = lasting.length === Math.min(maxLines, ids.length);
  if (full && (all.length <= maxLines || last - memory.decidedAt < decideEveryMs)) return memory;
  const chosen = all.length <= maxLines ? ids : heaviest(all, lasting, grid, first, last);
  return { chosen, decidedAt: last, slots: assignSlots(chosen, memory.slots) };
}

/** The lines with the largest sums over the range, but those shown already stay while nothing clearly outweighs them. */
function heaviest(all: readonly Candidate[], shown: readonly string[], grid: Grid, first: number, last: number): string[] {
  const weights = new Map(all.map((line) => [line.id, sum(grid.read(line.query, line.key, first, last))]));
  const rank = (id: string): number => (weights.get(id) ?? 0) * (shown.includes(id) ? clearly : 1);
  return all
    .map((line) => line.id)
    .sort((a, b) => rank(b) - rank(a) || Number(shown.includes(b)) - Number(shown.includes(a)) || a.localeCompare(b))
    .slice(0, maxLines);
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => (Number.isNaN(value) ? total : total + value), 0);
}

/** A line that stays keeps its colour; a new one takes the first that is free. */
export function assignSlots(ids: readonly string[], before: ReadonlyMap<string, number>): Map<string, number> {
  const slots = new Map<string, number>();
  for (const id of ids) {
    const slot = before.get(id);
    if (slot !== undefined) slots.set(id, slot);
  }
  const taken = new Set(slots.values());
  for (const id of ids) {
    if (slots.has(id)) continue;
    let slot = 0;
    while (taken.has(slot)) slot++;
    taken.add(slot);
    slots.set(id, slot);
  }
  return slots;
}
