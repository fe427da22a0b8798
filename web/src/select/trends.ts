import type { Group, TrendDef } from "../api/types";
import { groupKey, type Grid } from "../data/grid";

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

export function trendData(trend: TrendDef, grid: Grid, viewEnd: number, rangeMs: number, memory: TrendMemory): [TrendData, TrendMemory] {
  const first = viewEnd - rangeMs + grid.stepMs;
  const all = candidates(trend, grid);
  const next = choose(all, grid, first, viewEnd, memory);
  const lines = all
    .filter((line) => next.chosen.includes(line.id))
    .map((line) => ({
      id: line.id,
      label: line.label,
      values: grid.read(line.query, line.key, first, viewEnd),
      slot: next.slots.get(line.id) ?? 0,
    }));
  return [{ lines, total: all.length, first, last: viewEnd }, next];
}

/** Fills a label's {names} in; where that would leave lines alike or nameless, the groups' own names are added. */
export function lineLabel(template: string, group: Group, several: boolean): string {
  const filled = template.replace(/\{([^}]+)\}/g, (_all, name: string) => group[name] ?? "");
  if (filled.trim() !== "" && (!several || filled !== template)) return filled;
  const names = Object.values(group).join(" ");
  return `${filled.trim()} ${names}`.trim();
}

function candidates(trend: TrendDef, grid: Grid): Candidate[] {
  return trend.lines.flatMap(({ query, label }) => {
    const groups = grid.groups(query);
    return groups.map((group) => {
      const key = groupKey(group);
      return { id: `${query}\n${key}`, query, key, label: lineLabel(label, group, groups.length > 1) };
    });
  });
}

function choose(all: readonly Candidate[], grid: Grid, first: number, last: number, memory: TrendMemory): TrendMemory {
  const ids = all.map((line) => line.id);
  const there = new Set(ids);
  const lasting = memory.chosen.filter((id) => there.has(id));
  const full = lasting.length === Math.min(maxLines, ids.length);
  if (full && (all.length <= maxLines || last - memory.decidedAt < decideEveryMs)) return memory;
  const chosen = all.length <= maxLines ? ids : largest(all, grid, first, last);
  return { chosen, decidedAt: last, slots: assignSlots(chosen, memory.slots) };
}

function largest(all: readonly Candidate[], grid: Grid, first: number, last: number): string[] {
  return all
    .map((line) => ({ id: line.id, mean: mean(grid.read(line.query, line.key, first, last)) }))
    .sort((a, b) => b.mean - a.mean || a.id.localeCompare(b.id))
    .slice(0, maxLines)
    .map((line) => line.id);
}

function mean(values: Float64Array): number {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += value;
    count++;
  }
  return count === 0 ? -Infinity : sum / count;
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
