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

  it("says that the device is offline once the data is not live any more, for as long as it is", () => {
    expect(at(1_000, "offline").kind).toBe("live");
    expect(at(4_000, "offline")).toEqual({ kind: "offline", ageMs: 4_000 });
    expect(at(400_000, "offline")).toEqual({ kind: "offline", ageMs: 400_000 });
    expect(isOld(at(4_000, "offline"))).toBe(true);
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
    expect(before("offline")).toBe("offline");
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
  const setUp = () => {
    const time = { wall: 1_000, steady: 50 };
    const clock = new ServerClock({ wall: () => time.wall, steady: () => time.steady });
    clock.set(500_000);
    const pass = (wallMs: number, steadyMs = wallMs): number => {
      time.wall += wallMs;
      time.steady += steadyMs;
      return clock.now();
    };
    return { clock, pass };
  };

  it("runs on from the hub's time", () => {
    expect(setUp().pass(250)).toBe(500_250);
  });

  it("is not held back by a clock that is set back, nor by one that stands still in sleep", () => {
    expect(setUp().pass(-3_600_000, 40_000)).toBe(540_000);
    expect(setUp().pass(28_800_000, 2_000)).toBe(29_300_000);
  });

  it("is never behind a window that has closed", () => {
    const { clock, pass } = setUp();
    clock.atLeast(499_000);
    expect(pass(0)).toBe(500_000);
    clock.atLeast(503_000);
    expect(pass(1_000)).toBe(504_000);
  });
});

describe("old numbers", () => {
  it("are never called live, whatever the link and the clocks say", () => {
    for (const link of ["opening", "open", "lost", "offline"] as const) {
      for (const clockJumpMs of [-86_400_000, -5_000, 0, 5_000]) {
        const time = { wall: 0, steady: 0 };
        const clock = new ServerClock({ wall: () => time.wall, steady: () => time.steady });
        clock.set(newestMs);
        time.wall += clockJumpMs;
        for (let s = 1; s < 100; s++) {
          time.wall += 1_000;
          time.steady += 1_000;
          const { kind } = freshness({ nowMs: clock.now(), newestMs, stepMs: 1000, link });
          if (s > 3) expect(kind, `${link}, ${s} s, jump ${clockJumpMs}`).not.toBe("live");
        }
      }
    }
  });
});
