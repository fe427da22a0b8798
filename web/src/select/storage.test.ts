import { describe, expect, it } from "vitest";
import type { Dashboard } from "../api/types";
import { applySnapshot } from "../data/apply";
import { Grid } from "../data/grid";
import { hostFacts } from "./facts";
import { gapText, lostByAgent } from "./gaps";
import { status } from "./status";
import { storageState } from "./storage";

const start = Date.UTC(2026, 0, 5, 8, 15);
const end = start + 29_000;

const dashboard: Dashboard = {
  id: "overview",
  title: "Overview",
  stepMs: 1000,
  rangeMs: 60_000,
  queries: {},
  tiles: [],
  trends: [],
  table: null,
  storage: { behind: "behind", backlog: "backlog", senders: "senders" },
};

/** Thirty windows of the three queries, by functions of the window's index. */
function gridOf(behind: (i: number) => number | null, backlog: (i: number) => number | null, senders = 2): Grid {
  const grid = new Grid({ stepMs: 1000, depth: 120, deep: new Set(), background: new Set(["behind", "backlog", "senders"]) });
  const row = (f: (i: number) => number | null): (number | null)[] => Array.from({ length: 30 }, (_, i) => f(i));
  applySnapshot(grid, {
    type: "snapshot",
    since: start,
    end,
    queries: {
      behind: { groups: [{ reason: "disk_full" }, { reason: "slow" }], values: [row(() => 0), row(behind)] },
      backlog: { groups: [{}], values: [row(backlog)] },
      senders: { groups: [{}], values: [row(() => senders)] },
    },
  });
  return grid;
}

const state = (behind: (i: number) => number | null, backlog: (i: number) => number | null) => storageState(dashboard, gridOf(behind, backlog), end);

describe("how storing goes", () => {
  it("is well while agents hold only what is under way", () => {
    expect(state(() => 0, () => 4)).toEqual({ kind: "well" });
    expect(state(() => null, () => null)).toEqual({ kind: "well" });
    expect(storageState({ ...dashboard, storage: null }, gridOf(() => 1, () => 900), end)).toEqual({ kind: "well" });
  });

  it("is behind for a reason and since a time, as far as that is remembered", () => {
    expect(state((i) => (i < 20 ? 0 : 1), (i) => i)).toEqual({ kind: "behind", reason: "slow", since: start + 20_000, batches: 29 });
    expect(state(() => 1, () => 5)).toEqual({ kind: "behind", reason: "slow", since: 0, batches: 5 });
  });

  it("is not behind any more once nothing says so", () => {
    expect(state((i) => (i < 20 ? 1 : null), () => 4)).toEqual({ kind: "well" });
  });

  it("catches up at the pace of the last windows", () => {
    // 10 batches less in each window, 220 to the 20 that two agents have under way and a few more.
    expect(state(() => 0, (i) => 530 - 10 * i)).toEqual({ kind: "draining", batches: 240, leftMs: 22_000 });
    expect(state(() => 0, (i) => 100 + i)).toEqual({ kind: "draining", batches: 129, leftMs: null });
    expect(state(() => 0, (i) => (i < 28 ? null : 500))).toEqual({ kind: "draining", batches: 500, leftMs: null });
  });

  it("is told in the one sentence, and does not make old data look fresh", () => {
    const grid = gridOf(() => 1, () => 5);
    expect(grid.newest).toBe(0);
    grid.put("cpu", "", end, 0.5);
    expect(grid.newest).toBe(end);
    const storage = storageState(dashboard, grid, end);
    const told = status({ dashboard, grid, viewEnd: end, agents: [], agent: null, storage });
    expect([told.level, told.sentence, told.since]).toEqual(["warning", "All is well, but history is behind", 0]);
    // Where a measure is bad too, the time beside the sentence is the measure's.
    const both = { ...dashboard, tiles: [{ id: "cpu", title: "CPU", unit: "1", format: "percent", query: "cpu", better: "lower", compare: null, warn: 0.8, crit: 0.9 }] } as const;
    for (let at = end - 9_000; at <= end; at += 1000) grid.put("cpu", "", at, 0.99);
    grid.setGroups("cpu", [{}]);
    const since = end - 4_000;
    const two = status({ dashboard: both, grid, viewEnd: end, agents: [], agent: null, storage: { kind: "behind", reason: "slow", since, batches: 1 } });
    expect([two.level, two.sentence, two.exceptions.length]).toEqual(["critical", "History is behind. 1 measure needs attention", 2]);
    expect(two.since).not.toBe(since);
    expect(told.exceptions.map((e) => [e.subject, e.href, e.text])).toEqual([
      ["History", "/d/telltale", "is behind: ClickHouse is slow or away; live goes on, agents keep what they send"],
    ]);
    expect(status({ dashboard, grid, viewEnd: end, agents: [], agent: null, storage: { kind: "well" } }).level).toBe("ok");
  });
});

describe("clocks", () => {
  it("are worth a word only where they are more than a second off", () => {
    const host = { agent: "a", labels: {}, attributes: {}, connected: true, lastSeen: 0, intervalMs: 1000 };
    const clocks = [null, 0, 1000, -999, 2_400, -75_000].map((clockOffsetMs) => hostFacts({ ...host, clockOffsetMs }, start)[0]);
    expect(clocks).toEqual([undefined, undefined, undefined, undefined, ["Clock", "2 s ahead"], ["Clock", "1 min slow"]]);
  });
});

describe("gaps", () => {
  const gap = { agent: "a", from: start, to: start + 12_000, count: null, reason: "unclean_stop" };

  it("say how long, when and why, and how many only where that is known", () => {
    expect(gapText(gap, end)).toMatch(/^12 s lost, \d\d:15:00, unclean stop$/);
    expect(gapText({ ...gap, count: 1240, reason: "spool_full" }, end)).toMatch(/^12 s lost \(1,240 samples\), /);
    expect(gapText({ ...gap, to: start, reason: "of another client" }, end)).toMatch(/^1 s lost, .*, of another client$/);
    expect(gapText(gap, end + 86_400_000)).toMatch(/5/);
  });

  it("add up by agent, within the range", () => {
    const gaps = [gap, { ...gap, from: start + 20_000, to: start + 23_000 }, { ...gap, agent: "b", from: start - 9_000, to: start - 1 }];
    expect([...lostByAgent(gaps, start, end)]).toEqual([["a", "15 s lost"]]);
  });
});
