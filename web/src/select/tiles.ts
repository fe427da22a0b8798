import type { Dashboard, Shift, TileDef } from "../api/types";
import { compareShifted, comparedWindows, type Comparison } from "../data/compare";
import type { Grid } from "../data/grid";
import { delta, type Delta } from "../format/delta";
import { exact, plain, show, type Shown } from "../format/number";
import { ladder, pickScale, type Scale } from "../format/scale";
import { clockTime, span } from "../format/time";
import { t } from "../strings";
import type { Level } from "./level";
import { judge, latest } from "./read";

export interface TileView {
  readonly id: string;
  readonly title: string;
  readonly level: Level;
  readonly shown: Shown;
  readonly exact: string;
  /** Empty while the value is current; else says from when it is. */
  readonly old: string;
  readonly change: Change;
  readonly range: string;
  readonly spark: Float64Array;
  readonly normal: Comparison["normal"];
}

/** How the value stands to an earlier one. */
export interface Change {
  readonly delta: Delta;
  /** What it is compared with: "yesterday". */
  readonly against: string;
  /** The two numbers, or why there is no change to tell. */
  readonly title: string;
}

export interface TileInput {
  readonly dashboard: Dashboard;
  readonly grid: Grid;
  readonly viewEnd: number;
  readonly comparisons: ReadonlyMap<string, Comparison>;
  /** The unit each tile was last shown in; updated here. */
  readonly scales: Map<string, Scale>;
  /** The name of the period, as "15 min". */
  readonly period: string;
}

/** The sparkline's fixed window, the same in the whole row. */
const sparkWindows = 300;

export function tileViews(input: TileInput): TileView[] {
  return input.dashboard.tiles.map((tile) => tileView(tile, input));
}

function tileView(tile: TileDef, input: TileInput): TileView {
  const { grid, viewEnd, dashboard, period } = input;
  const key = grid.keys(tile.query)[0] ?? "";
  const now = latest(grid, tile.query, key, viewEnd);
  const scale = keepScale(tile, now.value, input.scales);
  const spark = grid.read(tile.query, key, viewEnd - (sparkWindows - 1) * grid.stepMs, viewEnd);
  const all = grid.read(tile.query, key, viewEnd - dashboard.rangeMs + grid.stepMs, viewEnd).filter((v) => !Number.isNaN(v));
  const text = (value: number): string => plain(value, tile.format, tile.unit, scale);
  return {
    id: tile.id,
    title: tile.title,
    level: judge(grid, tile.query, key, viewEnd, tile).level,
    shown: show(now.value, tile.format, scale),
    exact: exact(now.value, tile.format, tile.unit),
    old: now.current || Number.isNaN(now.value) ? "" : t.lastValueAt(clockTime(now.end)),
    change: tile.compare === null ? changeFromPrevious(tile, input, text) : changeFromShifted(tile, tile.compare, key, input, text),
    range: rangeText(period, tile, lowest(all), highest(all)),
    spark,
    normal: input.comparisons.get(tile.query)?.normal ?? null,
  };
}

type Text = (value: number) => string;

/** Against the time before what is on screen. */
function changeFromPrevious(tile: TileDef, { comparisons, period }: TileInput, text: Text): Change {
  const { current, previous } = comparisons.get(tile.query) ?? { current: null, previous: null };
  const change = delta(current, previous, tile.format, tile.better);
  const title = change.kind === "unknown" ? t.deltaUnknown(period) : t.deltaTitle(period, text(current ?? NaN), text(previous ?? NaN));
  return { delta: change, against: t.previous(period), title };
}

/** Against the same time by the calendar. */
function changeFromShifted(tile: TileDef, shift: Shift, key: string, { grid, viewEnd }: TileInput, text: Text): Change {
  const { current, previous } = compareShifted(grid, tile.query, key, shift, viewEnd);
  const change = delta(current, previous, tile.format, tile.better);
  const then = t.shift[shift];
  const known = t.shiftTitle(span(comparedWindows * grid.stepMs), then, text(current ?? NaN), text(previous ?? NaN));
  return { delta: change, against: then, title: change.kind === "unknown" ? t.shiftUnknown(then) : known };
}

/** In the unit of its larger end, whatever unit the value of the moment has. */
function rangeText(period: string, tile: TileDef, low: number, high: number): string {
  if (Number.isNaN(high)) return "";
  const scale = pickScale(ladder(tile.format, tile.unit), high);
  const from = show(low, tile.format, scale).text;
  const to = plain(high, tile.format, tile.unit, scale);
  return from === show(high, tile.format, scale).text ? t.rangeSteady(period, to) : t.rangeLabel(period, from, to);
}

function keepScale(tile: TileDef, value: number, scales: Map<string, Scale>): Scale {
  const previous = scales.get(tile.id);
  if (Number.isNaN(value) && previous !== undefined) return previous;
  const scale = pickScale(ladder(tile.format, tile.unit), Number.isNaN(value) ? 0 : value, previous);
  scales.set(tile.id, scale);
  return scale;
}

/** The smallest value; NaN of none. */
export function lowest(values: Float64Array): number {
  return values.length === 0 ? NaN : values.reduce((low, v) => Math.min(low, v), Infinity);
}

export function highest(values: Float64Array): number {
  return values.length === 0 ? NaN : values.reduce((high, v) => Math.max(high, v), -Infinity);
}
