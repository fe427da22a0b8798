import type uPlot from "uplot";
import { describe, expect, it, vi } from "vitest";
import { fit, spread } from "./labels";
import { axisParts, roundUp, softTop } from "./range";
import type { Palette } from "./palette";
import { sparkPath } from "./spark";
import { drawTimes, type TimeMark } from "./times";

describe("value axis", () => {
  it("ends at a round number", () => {
    expect([0, 0.3, 1, 1.2, 2.1, 4, 7, 19, 21, 260, 900].map((v) => roundUp(v, 1000))).toEqual([1, 0.5, 1, 2, 2.5, 5, 10, 20, 25, 500, 1000]);
    expect(roundUp(3.2 * 1024 ** 3, 1024)).toBe(5 * 1024 ** 3);
    expect(roundUp(700 * 1024 ** 2, 1024)).toBe(1000 * 1024 ** 2);
    expect(roundUp(1010 * 1024 ** 2, 1024)).toBe(1024 ** 3);
  });

  it("is cut into parts that are round as well", () => {
    expect([1, 2, 2.5, 5, 10, 25, 500, 2e6, 2.5e6].map((top) => axisParts(top, 1000))).toEqual([4, 4, 5, 5, 4, 5, 5, 4, 5]);
    expect(axisParts(5 * 1024 ** 3, 1024)).toBe(5);
  });

  it("widens at once and shrinks only after a minute of less", () => {
    let axis = softTop(null, 1.5, 0, 1000);
    expect(axis.top).toBe(2);
    axis = softTop(axis, 40, 1_000, 1000);
    expect(axis.top).toBe(50);
    axis = softTop(axis, 3, 2_000, 1000);
    axis = softTop(axis, 3, 61_000, 1000);
    expect(axis.top).toBe(50);
    expect(softTop(axis, 3, 62_000, 1000).top).toBe(5);
    axis = softTop(axis, 40, 61_500, 1000);
    expect(softTop(axis, 3, 62_000, 1000).top).toBe(50);
  });
});

describe("labels", () => {
  it("are moved apart, in their order, within the chart", () => {
    expect(spread([10, 50, 90], 14, 0, 100)).toEqual([10, 50, 90]);
    expect(spread([50, 52, 51], 14, 0, 100)).toEqual([50, 78, 64]);
    expect(spread([98, 99], 14, 0, 100)).toEqual([86, 100]);
    expect(spread([], 14, 0, 100)).toEqual([]);
  });

  it("are cut in their middle", () => {
    const measure = (text: string): number => text.length;
    expect(fit("short", 10, measure)).toBe("short");
    expect(fit("edge-node-eu-0042", 9, measure)).toBe("edge…0042");
  });
});

describe("sparkline", () => {
  it("lifts the pen at a gap and marks the newest value", () => {
    const spark = sparkPath(Float64Array.of(0, 10, NaN, 5, 10), null, 40, 20);
    expect(spark.line).toBe("M0 20L10 0M30 10L40 0");
    expect(spark.last).toEqual({ x: 40, y: 0 });
    expect(sparkPath(Float64Array.of(1, NaN), null, 40, 20).last).toBeNull();
  });

  it("keeps a nearly flat line flat, and draws nothing from nothing", () => {
    expect(sparkPath(Float64Array.of(100, 100), null, 10, 20).line).toBe("M0 10L10 10");
    expect(sparkPath(Float64Array.of(NaN, NaN), null, 10, 20)).toEqual({ line: "", last: null, band: null });
  });

  it("shows what was normal", () => {
    expect(sparkPath(Float64Array.of(0, 20), { low: 5, high: 10 }, 10, 20).band).toEqual({ y: 10, height: 5 });
  });
});

describe("marked times", () => {
  /** A plot of a thousand pixels for a thousand seconds, which notes what is written where. */
  const written = (marks: readonly TimeMark[]): string[] => {
    vi.stubGlobal("devicePixelRatio", 1);
    const words: string[] = [];
    const ctx = new Proxy<Record<string, unknown>>({}, {
      get: (_, name) => {
        if (name === "measureText") return (text: string) => ({ width: 10 * text.length });
        if (name === "fillText") return (text: string, x: number) => words.push(`${text} ${x}`);
        return () => undefined;
      },
      set: () => true,
    });
    const plot = { ctx, bbox: { left: 0, top: 0, width: 1000, height: 100 }, valToPos: (seconds: number) => seconds };
    drawTimes(plot as unknown as uPlot, marks, { fontPx: 10 } as Palette);
    vi.unstubAllGlobals();
    return words;
  };
  const mark = (fromS: number, word: string, toS = fromS): TimeMark => ({ from: fromS * 1000, to: toS * 1000, word, tone: "event" });

  it("have their words where there is room, the newest first", () => {
    expect(written([mark(100, "one"), mark(500, "two")])).toEqual(["two 504", "one 104"]);
    expect(written([mark(100, "a long word"), mark(150, "two")])).toEqual(["two 154", "a …d 104"]);
    expect(written([mark(100, "a title that is far too long")])).toEqual(["a titl… long 104"]);
  });

  it("have their words before them where there is none after them", () => {
    expect(written([mark(990, "new")])).toEqual(["new 956"]);
    expect(written([mark(110, "one"), mark(120, "two")])).toEqual(["two 124", "one 76"]);
    expect(written([mark(500, "one"), mark(980, "two"), mark(990, "three")])).toEqual(["three 936", "one 504"]);
    expect(written([mark(20, "one"), mark(40, "two")])).toEqual(["two 44"]);
  });

  it("are left out beside the chart, and have their words at its edge where they reach in", () => {
    expect(written([mark(-5, "before"), mark(1001, "after")])).toEqual([]);
    expect(written([mark(-50, "since", 10)])).toEqual(["since 4"]);
  });
});
