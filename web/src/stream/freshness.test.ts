import { describe, expect, it } from "vitest";
import { backoffMs } from "./backoff";
import { ServerClock } from "./clock";
import { freshness, isOld, type Link } from "./freshness";

const newestMs = 1_763_800_000_000;
const at = (ageMs: number, link: Link = "open", stepMs = 1000) => freshness({ nowMs: newestMs + ageMs, newestMs, stepMs, link });

describe("freshness", () => {
  it("is live while the newest window is as young as it can be", () => {
    expect(at(0)).toEqual({ kind: "live", ageMs: 0 });
    expect(at(3_000)).toEqual({ kind: "live", ageMs: 3_000 });
  });

  it("grows old by the clock alone", () => {
    expect(at(3_001)).toEqual({ kind: "delayed", ageMs: 3_001 });
    expect(at(30_000)).toEqual({ kind: "delayed", ageMs: 30_000 });
    expect(at(30_001)).toEqual({ kind: "stale", sinceMs: newestMs, lost: false });
  });

  it("says that it reconnects once the data is not live any more", () => {
    expect(at(1_000, "lost").kind).toBe("live");
    expect(at(4_000, "lost")).toEqual({ kind: "reconnecting", ageMs: 4_000 });
    expect(at(31_000, "lost")).toEqual({ kind: "stale", sinceMs: newestMs, lost: true });
  });

  it("takes longer steps into account", () => {
    expect(at(20_000, "open", 10_000).kind).toBe("live");
    expect(at(26_000, "open", 10_000).kind).toBe("delayed");
    expect(at(101_000, "open", 10_000).kind).toBe("stale");
  });

  it("knows the time before the first data", () => {
    const before = (link: Link) => freshness({ nowMs: 5, newestMs: 0, stepMs: 1000, link }).kind;
    expect(before("opening")).toBe("connecting");
    expect(before("open")).toBe("waiting");
    expect(before("lost")).toBe("reconnecting");
  });

  it("is not confused by data from a little ahead", () => {
    expect(at(-400)).toEqual({ kind: "live", ageMs: 0 });
  });

  it("marks values as old only when they are no longer the state of things", () => {
    expect([at(0), at(10_000), at(10_000, "lost"), at(60_000)].map(isOld)).toEqual([false, false, true, true]);
  });
});

describe("backoff", () => {
  it("doubles to half a minute, never less than half of it, never zero", () => {
    expect([0, 1, 2, 3, 4, 5, 50].map((n) => backoffMs(n, 1))).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(backoffMs(0, 0)).toBe(500);
    expect(backoffMs(9, 0)).toBe(15_000);
  });
});

describe("server clock", () => {
  it("runs on from the hub's time", () => {
    let local = 1_000;
    const clock = new ServerClock(() => local);
    clock.set(500_000);
    local += 250;
    expect(clock.now()).toBe(500_250);
  });
});
