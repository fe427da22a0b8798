import { describe, expect, it } from "vitest";
import { decodeEvent } from "../api/decode";
import type { Tick } from "../api/types";
import { applySnapshot, applyTick, snapshotOf } from "./apply";
import { Grid } from "./grid";
import { PastValues } from "./past";

const row = (past: PastValues, first: number, last: number): (number | null)[] =>
  Array.from(past.read("1d", "cpu", first, last), (v) => (Number.isNaN(v) ? null : v));

describe("what windows are compared with", () => {
  it("is kept by the windows that are compared, whatever comes again", () => {
    const past = new PastValues(1000, 100);
    past.put({ since: 1000, shifts: [["1d", { cpu: [1, null, 3] }]] });
    past.put({ since: 3000, shifts: [["1d", { cpu: [4, 5] }]] });
    past.put({ since: 6000, shifts: [["1w", { cpu: [9] }]] });
    expect(row(past, 0, 6000)).toEqual([null, 1, null, 4, 5, null, null]);
    expect([...past.read("1w", "cpu", 6000, 6000)]).toEqual([9]);
    past.put({ since: 3000, shifts: [["1d", { cpu: [null] }]] });
    expect(row(past, 1000, 4000)).toEqual([1, null, null, 5]);
  });

  it("forgets what no window on screen needs", () => {
    const past = new PastValues(1000, 120);
    for (let minute = 0; minute < 1000; minute++) {
      past.put({ since: minute * 60_000, shifts: [["1d", { cpu: Array<number>(60).fill(minute) }]] });
    }
    expect(past.size).toBe(120);
    expect(past.read("1d", "cpu", 999 * 60_000, 999 * 60_000)[0]).toBe(999);
  });

  it("comes with snapshots and ticks, and goes on to other tabs", () => {
    const compare = { since: 1000, shifts: { "1d": { cpu: [0.1, null] }, "9y": { cpu: [7] } } };
    const grid = new Grid({ stepMs: 1000, depth: 10, deep: new Set(["cpu"]) });
    const snapshot = decodeEvent("snapshot", { end: 1000, since: 1000, queries: { cpu: { groups: [{}], values: [[1]] } }, compare });
    if (snapshot.type !== "snapshot") throw new Error(snapshot.type);
    applySnapshot(grid, snapshot);
    const tick = decodeEvent("tick", { end: 2000, values: { cpu: [2] }, compare: { since: 3000, shifts: { "1d": { cpu: [0.3] } } } }) as Tick;
    applyTick(grid, tick);
    applyTick(grid, decodeEvent("tick", { end: 3000, values: { cpu: [3] } }) as Tick);
    expect(row(grid.past, 1000, 3000)).toEqual([0.1, null, 0.3]);

    const other = new Grid({ stepMs: 1000, depth: 10, deep: new Set(["cpu"]) });
    const passed = snapshotOf(grid, ["cpu"], 60, grid.end);
    if (passed === null) throw new Error("no snapshot");
    applySnapshot(other, passed);
    expect(row(other.past, 1000, 3000)).toEqual([0.1, null, 0.3]);
    expect(new PastValues(1000, 10).all()).toBeNull();
  });
});
