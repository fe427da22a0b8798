import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HttpError } from "../api/http";
import type { Group, History, Row, Snapshot, Tick } from "../api/types";
import { applyGap, applyHistory, applySnapshot, applyTick, snapshotOf } from "./apply";
import { Backfill, holes, type BackfillState, type Range } from "./backfill";
import { Grid, groupKey } from "./grid";

const newGrid = (depth = 100): Grid => new Grid({ stepMs: 1000, depth, deep: new Set(["cpu", "hosts"]) });
const web: Group = { agent: "web-1" };
const db: Group = { agent: "db-1" };

function snapshot(since: number, values: Row, groups: readonly Group[] = [{}]): Snapshot {
  return { type: "snapshot", since, end: since + (values.length - 1) * 1000, queries: { cpu: { groups, values: groups.map(() => values) } } };
}

function tick(end: number, value: number | null, amend: Tick["amend"] = []): Tick {
  return { type: "tick", end, values: { cpu: [value] }, groups: {}, amend };
}

function history(first: number, values: Row): History {
  return { stepMs: 1000, ends: values.map((_, i) => first + i * 1000), queries: { cpu: { groups: [{}], values: [values] } } };
}

const read = (grid: Grid, first: number, last: number): (number | null)[] =>
  Array.from(grid.read("cpu", "", first, last), (v) => (Number.isNaN(v) ? null : v));

describe("grid", () => {
  it("names groups alike whatever the order of their labels", () => {
    expect(groupKey({ b: "2", a: "1" })).toBe(groupKey({ a: "1", b: "2" }));
    expect(groupKey({ a: "1" })).not.toBe(groupKey({ a: "2" }));
  });

  it("forgets what is older than its depth, and nothing else", () => {
    const grid = newGrid(5);
    grid.setGroups("cpu", [{}]);
    for (let i = 1; i <= 12; i++) applyTick(grid, tick(i * 1000, i));
    expect(read(grid, 6000, 13_000)).toEqual([null, null, 8, 9, 10, 11, 12, null]);
    applyTick(grid, tick(1_000_000, 7));
    expect(read(grid, 996_000, 1_000_000)).toEqual([null, null, null, null, 7]);
  });

  it("bounds its memory whatever the number of groups", () => {
    const grid = newGrid(1000);
    const groups = Array.from({ length: 500 }, (_, i) => ({ agent: `a${i}` }));
    applySnapshot(grid, { type: "snapshot", since: 1000, end: 1000, queries: { hosts: { groups, values: groups.map(() => [1]) } } });
    for (let i = 2; i < 200; i++) {
      applyTick(grid, { type: "tick", end: i * 1000, values: { hosts: groups.map(() => i) }, groups: {}, amend: [] });
    }
    expect(grid.value("hosts", groupKey({ agent: "a0" }), 100_000)).toBe(100);
    expect(grid.value("hosts", groupKey({ agent: "a499" }), 100_000)).toBeNaN();
    expect(grid.value("hosts", groupKey({ agent: "a499" }), 199_000)).toBe(199);
    expect(grid.rings).toBe(500);
  });

  it("drops groups that left once nothing of them is remembered", () => {
    const grid = newGrid(5);
    applySnapshot(grid, snapshot(1000, [1], [web]));
    grid.setGroups("cpu", [db]);
    expect(grid.rings).toBe(1);
    for (let i = 2; i < 9; i++) grid.advance(i * 1000);
    grid.setGroups("cpu", [db]);
    expect(grid.rings).toBe(0);
  });
});

describe("stream frames", () => {
  it("joins a snapshot and ticks, once each", () => {
    const grid = newGrid();
    applySnapshot(grid, snapshot(1000, [1, null, 3]));
    applyTick(grid, tick(4000, 4));
    applyTick(grid, tick(4000, 4));
    expect(read(grid, 1000, 4000)).toEqual([1, null, 3, 4]);
    expect(grid.newest).toBe(4000);
  });

  it("does not let history undo what the stream gave, but settle what came before a gap", () => {
    const grid = newGrid();
    applySnapshot(grid, snapshot(1000, [1, 2, null]));
    const late: History = { stepMs: 1000, ends: [1000, 2000, 3000], queries: { cpu: { groups: [{}], values: [[1, 1, 3]] } } };
    applyHistory(grid, late);
    expect(read(grid, 1000, 3000)).toEqual([1, 2, 3]);
    applyGap(grid, { type: "gap", from: 3000, to: 5000, reason: "ring" });
    applyHistory(grid, { ...late, queries: { cpu: { groups: [{}], values: [[1, 7, 3]] } } });
    expect(read(grid, 1000, 3000)).toEqual([1, 7, 3]);
  });

  it("follows the groups of a tick that history was ahead of", () => {
    const grid = newGrid();
    const of = (...names: string[]) => names.map((agent) => ({ agent }));
    applyHistory(grid, { stepMs: 1000, ends: [5000], queries: { hosts: { groups: of("b"), values: [[2]] } } });
    applyTick(grid, { type: "tick", end: 4000, values: { hosts: [1, 2] }, groups: { hosts: of("a", "b") }, amend: [] });
    applyTick(grid, { type: "tick", end: 6000, values: { hosts: [10, 20] }, groups: {}, amend: [] });
    expect([grid.value("hosts", "agent=a", 6000), grid.value("hosts", "agent=b", 6000)]).toEqual([10, 20]);
  });

  it("keeps windows without values as known and missing", () => {
    const grid = newGrid();
    grid.setGroups("cpu", [{}]);
    applyTick(grid, tick(1000, 1));
    applyTick(grid, tick(4000, 4));
    expect(read(grid, 1000, 4000)).toEqual([1, null, null, 4]);
    expect(grid.known(2000)).toBe(true);
    applyTick(grid, tick(5000, null));
    expect(grid.end).toBe(5000);
    expect(grid.newest).toBe(4000);
  });

  it("puts amended values into their window, missing ones too", () => {
    const grid = newGrid();
    applySnapshot(grid, snapshot(1000, [1, 2, 3]));
    applyTick(grid, tick(4000, 4, [{ end: 2000, values: { cpu: [22] }, groups: {} }, { end: 3000, values: { cpu: [null] }, groups: {} }]));
    expect(read(grid, 1000, 4000)).toEqual([1, 22, null, 4]);
  });

  it("follows a new list of groups, for the amended windows as well", () => {
    const grid = newGrid();
    applySnapshot(grid, snapshot(1000, [1], [web]));
    applyTick(grid, {
      type: "tick",
      end: 2000,
      values: { cpu: [20, 10] },
      groups: { cpu: [db, web] },
      amend: [{ end: 1000, values: { cpu: [5, 6] }, groups: {} }],
    });
    expect(grid.value("cpu", groupKey(web), 2000)).toBe(10);
    expect(grid.value("cpu", groupKey(db), 1000)).toBe(5);
    expect(grid.value("cpu", groupKey(web), 1000)).toBe(6);
  });

  it("hands its newest windows on as a snapshot", () => {
    const grid = newGrid();
    applySnapshot(grid, snapshot(1000, [1, null, 3]));
    const other = newGrid();
    const passed = snapshotOf(grid, ["cpu"], 60, 3000);
    expect(passed).toMatchObject({ since: 1000, end: 3000 });
    if (passed !== null) applySnapshot(other, passed);
    expect(read(other, 1000, 3000)).toEqual([1, null, 3]);
    expect(snapshotOf(grid, ["cpu"], 60, 2000)).toMatchObject({ since: 1000, end: 2000, queries: { cpu: { values: [[1, null]] } } });
    expect(snapshotOf(newGrid(), ["cpu"], 60, 0)).toBeNull();
  });
});

describe("history and stream together", () => {
  it("fills before the snapshot and wipes nothing out", () => {
    const grid = newGrid();
    applySnapshot(grid, snapshot(5000, [5, 6, 7]));
    applyHistory(grid, history(1000, [1, 2, 3, 4, 5, 6, null]));
    expect(read(grid, 1000, 7000)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it("works the other way round", () => {
    const grid = newGrid();
    applyHistory(grid, history(1000, [1, 2, 3]));
    applySnapshot(grid, snapshot(3000, [null, 4]));
    expect(read(grid, 1000, 4000)).toEqual([1, 2, 3, 4]);
  });

  it("finds what is unknown after a sleep and after a gap", () => {
    const grid = newGrid();
    applySnapshot(grid, snapshot(1000, [1, 2, 3]));
    applySnapshot(grid, snapshot(10_000, [10, 11]));
    expect(holes(grid, { first: 1000, last: 11_000 })).toEqual({ first: 4000, last: 9000 });
    applyHistory(grid, history(4000, [4, 5, 6, 7, 8, 9]));
    expect(holes(grid, { first: 1000, last: 11_000 })).toBeNull();
    applyGap(grid, { type: "gap", from: 6000, to: 7000, reason: "ring" });
    expect(holes(grid, { first: 1000, last: 11_000 })).toEqual({ first: 6000, last: 7000 });
  });

  it("does not look for data from before there was any", () => {
    const grid = newGrid();
    applySnapshot(grid, snapshot(50_000, [1, 2]));
    expect(holes(grid, { first: 1000, last: 51_000 })).toBeNull();
  });
});

describe("backfill", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  function setUp(answer: (range: Range) => Promise<History>) {
    const grid = newGrid();
    const asked: Range[] = [];
    const states: BackfillState["kind"][] = [];
    const unauthorized = vi.fn();
    const backfill = new Backfill({
      grid,
      ask: (range) => {
        asked.push(range);
        return answer(range);
      },
      onChange: (state) => states.push(state.kind),
      onUnauthorized: unauthorized,
      random: () => 0.5,
    });
    return { grid, asked, states, backfill, unauthorized };
  }

  it("asks once where the answer is complete", async () => {
    const { grid, asked, states, backfill } = setUp(() => Promise.resolve(history(1000, [1, 2, 3])));
    applySnapshot(grid, snapshot(4000, [4]));
    backfill.request({ first: 1000, last: 4000 }, false);
    await vi.advanceTimersByTimeAsync(200_000);
    expect(asked).toEqual([{ first: 1000, last: 4000 }]);
    expect(states).toEqual(["loading", "idle"]);
  });

  it("asks again for what was not stored yet", async () => {
    let stored: Row = [1, null, null];
    const { grid, asked, backfill } = setUp(() => Promise.resolve(history(1000, stored)));
    applySnapshot(grid, snapshot(4000, [4]));
    backfill.request({ first: 1000, last: 4000 }, false);
    await vi.advanceTimersByTimeAsync(0);
    stored = [1, 2, 3];
    await vi.advanceTimersByTimeAsync(3_000);
    expect(asked).toEqual([{ first: 1000, last: 4000 }, { first: 2000, last: 3000 }]);
    expect(read(grid, 1000, 4000)).toEqual([1, 2, 3, 4]);
    await vi.advanceTimersByTimeAsync(200_000);
    expect(asked).toHaveLength(2);
  });

  it("asks for all of a gap again, as agents catch up, and then stops", async () => {
    const { grid, asked, backfill } = setUp(() => Promise.resolve(history(2000, [2, 3])));
    applySnapshot(grid, snapshot(1000, [1, null, null, 4]));
    backfill.request({ first: 2000, last: 3000 }, true);
    await vi.advanceTimersByTimeAsync(500_000);
    expect(asked).toEqual(Array(4).fill({ first: 2000, last: 3000 }));
  });

  it("tries again when the hub is away, and not when it refuses", async () => {
    let fail: Error | null = new HttpError(503, "busy");
    const { grid, asked, states, backfill } = setUp(() => (fail === null ? Promise.resolve(history(1000, [1, 2])) : Promise.reject(fail)));
    applySnapshot(grid, snapshot(3000, [3]));
    backfill.request({ first: 1000, last: 3000 }, false);
    await vi.advanceTimersByTimeAsync(0);
    expect(states).toEqual(["loading", "error"]);
    fail = null;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(read(grid, 1000, 3000)).toEqual([1, 2, 3]);
    fail = new HttpError(400, "limit_points");
    const before = asked.length;
    backfill.request({ first: 1000, last: 3000 }, false);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(asked).toHaveLength(before + 1);
    expect(states.at(-1)).toBe("error");
  });

  it("joins requests that come together, also while one is under way", async () => {
    const { grid, asked, backfill } = setUp(() => Promise.resolve(history(1000, [1, 2, 3, 4, 5])));
    applySnapshot(grid, snapshot(6000, [6]));
    backfill.request({ first: 1000, last: 2000 }, false);
    backfill.request({ first: 4000, last: 5000 }, false);
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual([{ first: 1000, last: 5000 }]);
  });

  it("leads to the sign-in when the session has ended, and is silent once stopped", async () => {
    const { grid, backfill, unauthorized, asked } = setUp(() => Promise.reject(new HttpError(401, "no")));
    applySnapshot(grid, snapshot(3000, [3]));
    backfill.request({ first: 1000, last: 3000 }, false);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(unauthorized).toHaveBeenCalledOnce();
    backfill.stop();
    backfill.request({ first: 1000, last: 3000 }, false);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(asked).toHaveLength(1);
  });
});
