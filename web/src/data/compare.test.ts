import { describe, expect, it } from "vitest";
import type { History } from "../api/types";
import { compare, stepFor } from "./compare";

const history = (first: number, row: readonly (number | null)[]): History => ({
  stepMs: 1000,
  ends: row.map((_, i) => first + i * 1000),
  queries: { cpu: { groups: [{}], values: [row] } },
});

describe("comparison", () => {
  it("takes the means of both halves, and what was normal before", () => {
    const values = [...Array<number>(10).fill(10), ...Array<number>(10).fill(15)];
    expect(compare(history(1000, values), "cpu", 10_000)).toEqual({ current: 15, previous: 10, normal: { low: 10, high: 10 } });
  });

  it("does not take the counts of nothing before the first data for zeros", () => {
    const values = Array.from({ length: 20 }, (_, i) => (i < 10 ? 0 : 3));
    expect(compare(history(1000, values), "cpu", 10_000)).toEqual({ current: 3, previous: null, normal: null });
  });

  it("does not compare with next to nothing", () => {
    const values = [...Array<null>(9).fill(null), 10, ...Array<number>(10).fill(15)];
    expect(compare(history(1000, values), "cpu", 10_000)).toEqual({ current: 15, previous: null, normal: null });
    expect(compare(history(1000, []), "cpu", 10_000)).toEqual({ current: null, previous: null, normal: null });
    expect(compare(history(1000, values), "other", 10_000).current).toBeNull();
  });

  it("takes the finest step the hub knows that is coarse enough", () => {
    expect(stepFor(1_800_000, 200)[0]).toBe("10s");
    expect(stepFor(60_000, 200)[0]).toBe("1s");
    expect(stepFor(86_400_000, 200)[0]).toBe("15m");
    expect(stepFor(1e15, 200)[0]).toBe("1d");
  });
});
