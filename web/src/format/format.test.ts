import { describe, expect, it } from "vitest";
import { delta } from "./delta";
import { exact, plain, show, signed } from "./number";
import { ladder, pickScale } from "./scale";
import { sinceTime, span } from "./time";

const bytes = ladder("bytes", "By");
const rate = ladder("bytes_per_second", "By/s");

describe("pickScale", () => {
  it("takes the unit that fits where there was none before", () => {
    expect(pickScale(bytes, 0).unit).toBe("B");
    expect(pickScale(bytes, 1023).unit).toBe("B");
    expect(pickScale(bytes, 1024).unit).toBe("KiB");
    expect(pickScale(bytes, 3 * 1024 ** 3).unit).toBe("GiB");
    expect(pickScale(rate, -2_500_000).unit).toBe("MB/s");
  });

  it("changes up only at 1.1 times and back only below 0.9 times the unit", () => {
    const kilo = pickScale(rate, 900_000);
    expect(kilo.unit).toBe("kB/s");
    expect(pickScale(rate, 1_050_000, kilo)).toBe(kilo);
    const mega = pickScale(rate, 1_100_000, kilo);
    expect(mega.unit).toBe("MB/s");
    expect(pickScale(rate, 950_000, mega)).toBe(mega);
    expect(pickScale(rate, 899_000, mega).unit).toBe("kB/s");
  });

  it("crosses several units at once", () => {
    expect(pickScale(rate, 5e9, pickScale(rate, 10)).unit).toBe("GB/s");
    expect(pickScale(rate, 0, pickScale(rate, 5e9)).unit).toBe("B/s");
  });

  it("shows no symbol for pure numbers and annotations, and the unit for others", () => {
    expect(ladder("number", "1").map((s) => s.unit).slice(0, 3)).toEqual(["", "k", "M"]);
    expect(ladder("number", "{host}")[0]?.unit).toBe("");
    expect(ladder("number", "V")[1]?.unit).toBe("kV");
  });
});

describe("numbers", () => {
  it("has three significant digits", () => {
    const mega = rate[2] ?? { factor: 1, unit: "" };
    expect(show(1_234_567, "bytes_per_second", mega)).toEqual({ text: "1.23", unit: "MB/s" });
    expect(show(12_345_678, "bytes_per_second", mega).text).toBe("12.3");
    expect(show(123_456_789, "bytes_per_second", mega).text).toBe("123");
    expect(show(9_996_000, "bytes_per_second", mega).text).toBe("10.0");
  });

  it("shows shares with one decimal, and 100 without", () => {
    expect(plain(0.1234, "percent", "1")).toBe("12.3\u202f%");
    expect(plain(1, "percent", "1")).toBe("100\u202f%");
    expect(plain(0.9996, "percent", "1")).toBe("100\u202f%");
  });

  it("tells zero, whole numbers and unknown apart", () => {
    expect(plain(0, "number", "1")).toBe("0");
    expect(plain(14, "number", "1")).toBe("14");
    expect(plain(NaN, "number", "1")).toBe("no data");
  });

  it("shows durations in the unit that fits", () => {
    expect(plain(0.00085, "duration", "s")).toBe("850\u202fµs");
    expect(plain(1.5, "duration", "s")).toBe("1.50\u202fs");
    expect(plain(7200, "duration", "s")).toBe("2.00\u202fh");
  });

  it("keeps every digit for tooltips", () => {
    expect(exact(12_345_678, "bytes", "By")).toBe("12,345,678 B");
    expect(exact(0.123456, "percent", "1")).toBe("12.346 %");
  });

  it("signs changes, with a true minus and no sign on zero", () => {
    expect(signed(4.21)).toBe("+4.2");
    expect(signed(-4.21)).toBe("−4.2");
    expect(signed(0)).toBe("0.0");
    expect(signed(152.3)).toBe("+152");
  });
});

describe("delta", () => {
  it("compares in per cent, and shares in points", () => {
    expect(delta(110, 100, "number", "higher")).toEqual({ kind: "known", direction: "up", text: "+10.0\u202f%", tone: "good" });
    expect(delta(0.3, 0.25, "percent", "lower")).toEqual({ kind: "known", direction: "up", text: "+5.0\u202fpt", tone: "bad" });
  });

  it("colours by what is better, not by direction", () => {
    expect(delta(80, 100, "duration", "lower")).toMatchObject({ direction: "down", tone: "good" });
    expect(delta(80, 100, "number", "higher")).toMatchObject({ direction: "down", tone: "bad" });
    expect(delta(80, 100, "number", "none")).toMatchObject({ tone: "neutral" });
    expect(delta(101, 100, "number", "lower")).toMatchObject({ direction: "up", tone: "neutral" });
  });

  it("is not available on a base of zero or nothing", () => {
    expect(delta(5, 0, "number", "lower").kind).toBe("unknown");
    expect(delta(5, null, "number", "lower").kind).toBe("unknown");
    expect(delta(null, 5, "number", "lower").kind).toBe("unknown");
    expect(delta(0.1, 0, "percent", "lower")).toMatchObject({ text: "+10.0\u202fpt" });
  });

  it("is flat when it rounds to nothing", () => {
    expect(delta(5000, 1, "number", "lower")).toMatchObject({ direction: "up", text: ">+999\u202f%", tone: "bad" });
    expect(delta(100.01, 100, "number", "lower")).toMatchObject({ direction: "flat", tone: "neutral" });
  });
});

describe("times", () => {
  it("names spans in their largest units", () => {
    expect(span(0)).toBe("0 s");
    expect(span(59_999)).toBe("59 s");
    expect(span(15 * 60_000)).toBe("15 min");
    expect(span(2 * 3_600_000)).toBe("2 h");
    expect(span(2 * 3_600_000 + 5 * 60_000)).toBe("2 h 5 min");
    expect(span(49 * 3_600_000)).toBe("2 d");
  });

  it("adds the day to times long ago", () => {
    const at = Date.UTC(2026, 0, 5, 10, 41);
    expect(sinceTime(at, at + 60_000)).toBe("10:41");
    expect(sinceTime(at, at + 86_400_000)).toContain("Jan");
  });
});
