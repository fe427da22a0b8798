import type { Agent, ColumnDef, TableDef } from "../api/types";
import { groupKey, type Grid } from "../data/grid";
import { exact, plain } from "../format/number";
import { t } from "../strings";
import { levelOf, worst, type Level } from "./level";
import { judge, latest } from "./read";

export interface CellView {
  readonly text: string;
  readonly exact: string;
  readonly level: Level;
  /** Share of the whole for values that have one, drawn as a thin bar; else null. */
  readonly share: number | null;
  readonly sort: number;
}

export interface RowView {
  readonly name: string;
  readonly href: string;
  readonly level: Level;
  readonly silentSince: number | null;
  /** What was lost of it in the range shown; empty where nothing was. */
  readonly lost: string;
  readonly cells: readonly CellView[];
}

/** The members of the table: every agent known, and every one the stream speaks of, in the order of their names. */
export function members(table: TableDef, grid: Grid, agents: readonly Agent[]): string[] {
  const names = new Set(agents.map((agent) => agent.agent));
  for (const column of table.columns) {
    for (const group of grid.groups(column.query)) if (group[table.row] !== undefined) names.add(group[table.row] ?? "");
  }
  return [...names].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
}

/** A host that sends nothing for this many windows is silent, whatever its connection. */
const silentWindows = 10;

/** Since when a host is silent (0: for longer than is known), or null where it is not. */
export function silentSince(table: TableDef, grid: Grid, agent: Agent | undefined, name: string, viewEnd: number): number | null {
  if (agent?.connected === false) return agent.lastSeen;
  const key = groupKey({ [table.row]: name });
  const newest = Math.max(0, ...table.columns.map((column) => latest(grid, column.query, key, viewEnd).end));
  if (viewEnd - newest < silentWindows * grid.stepMs) return null;
  return newest > 0 ? newest : (agent?.lastSeen ?? 0);
}

export function rowViews(table: TableDef, grid: Grid, agents: readonly Agent[], viewEnd: number, lost: ReadonlyMap<string, string>): RowView[] {
  const byName = new Map(agents.map((agent) => [agent.agent, agent]));
  return members(table, grid, agents).map((name) => {
    const silent = silentSince(table, grid, byName.get(name), name, viewEnd);
    const cells = table.columns.map((column) => cell(column, table.row, name, grid, viewEnd));
    return {
      name,
      href: table.link === "" ? "" : table.link.replaceAll(`{${table.row}}`, encodeURIComponent(name)),
      level: silent === null ? worst(cells.map((c) => c.level)) : "unknown",
      silentSince: silent,
      lost: lost.get(name) ?? "",
      cells,
    };
  });
}

function cell(column: ColumnDef, label: string, name: string, grid: Grid, viewEnd: number): CellView {
  const key = groupKey({ [label]: name });
  if (!grid.has(column.query, key)) return { text: t.notMeasured, exact: t.noData, level: "ok", share: null, sort: -Infinity };
  const { value, current } = latest(grid, column.query, key, viewEnd);
  const shown = current ? value : NaN;
  return {
    text: plain(shown, column.format, column.unit),
    exact: exact(shown, column.format, column.unit),
    level: current ? judge(grid, column.query, key, viewEnd, column).level : levelOf(NaN, column),
    share: column.format === "percent" && current ? Math.min(1, Math.max(0, value)) : null,
    sort: Number.isNaN(shown) ? -Infinity : shown,
  };
}
