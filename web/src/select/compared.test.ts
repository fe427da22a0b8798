import { describe, expect, it } from "vitest";
import type { Dashboard, TrendDef } from "../api/types";
import { applySnapshot } from "../data/apply";
import { Grid } from "../data/grid";
import { tileViews } from "./tiles";
import { noMemory, trendData } from "./trends";

const start = Date.UTC(2026, 0, 5, 10, 41);
const trend: TrendDef = { id: "cpu", title: "CPU", unit: "1", format: "percent", max: 1, compare: "1d", lines: [{ query: "cpu", label: "all" }] };
const dashboard: Dashboard = {
  id: "overview",
  title: "Overview",
  stepMs: 1000,
  rangeMs: 60_000,
  queries: { cpu: {} },
  tiles: [{ id: "cpu", title: "CPU", unit: "1", format: "percent", query: "cpu", better: "lower", compare: "1d", warn: null, crit: null }],
  trends: [trend],
  table: null,
  storage: null,
};

/** Seventy windows whose values come from a function of their index. */
function gridOf(value: (i: number) => number | null): Grid {
  const grid = new Grid({ stepMs: 1000, depth: 120, deep: new Set(["cpu"]) });
  const values = [Array.from({ length: 70 }, (_, i) => value(i))];
  applySnapshot(grid, { type: "snapshot", since: start, end: start + 69_000, queries: { cpu: { groups: [{}], values } } });
  return grid;
}

describe("tiles against yesterday", () => {
  const against = (now: (i: number) => number | null, then: readonly (number | null)[]) => {
    const grid = gridOf(now); // the hub tells of times to come, too
    grid.past.put({ since: start + 10_000, shifts: [["1d", { cpu: then }]] });
    return tileViews({ dashboard, grid, viewEnd: grid.end, comparisons: new Map(), scales: new Map(), period: "1 min" })[0]?.change;
  };

  it("compares the means of the last minute on both sides, and says so", () => {
    const then = Array.from({ length: 100 }, (_, i) => (i < 60 ? 0.2 : 0.9));
    expect(against((i) => (i % 2 === 0 ? 0.2 : 0.3), then)).toEqual({
      delta: { kind: "known", direction: "up", text: "+5.0\u202fpt", tone: "bad" },
      against: "yesterday",
      title: "Average of the last 1 min: 25.0\u202f%. At the same time yesterday: 20.0\u202f%.",
    });
  });

  it("leaves out what one side lacks", () => {
    const then = Array.from({ length: 60 }, (_, i) => (i < 20 ? null : 0.25));
    expect(against((i) => (i < 30 ? 9 : 0.2), then)).toMatchObject({ delta: { text: "\u22125.0\u202fpt", tone: "good" } });
  });

  it("is not available on a new install, nor with next to nothing to compare with", () => {
    expect(against(() => 0.2, [])).toEqual({
      delta: { kind: "unknown" },
      against: "yesterday",
      title: "Nothing to compare with: no data at this time yesterday.",
    });
    expect(against(() => 0.2, Array.from({ length: 60 }, (_, i) => (i < 29 ? 0.1 : null)))?.delta.kind).toBe("unknown");
  });
});

describe("trends against yesterday", () => {
  it("draws a compared trend once more, as it was then", () => {
    const grid = gridOf(() => 0.5);
    expect(trendData(trend, grid, grid.end, 20_000, noMemory)[0].past).toEqual([]);
    grid.past.put({ since: grid.end - 1000, shifts: [["1d", { cpu: [0.1, 0.2, 0.3] }]] });
    const [{ lines, past }] = trendData(trend, grid, grid.end, 20_000, noMemory);
    expect(past.map(({ label, slot, values }) => [label, slot, ...values.slice(-3)])).toEqual([["all yesterday", lines[0]?.slot, NaN, 0.1, 0.2]]);
  });
});
