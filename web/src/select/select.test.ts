import { describe, expect, it } from "vitest";
import type { Agent, Dashboard, TrendDef } from "../api/types";
import { applySnapshot } from "../data/apply";
import { Grid } from "../data/grid";
import type { Scale } from "../format/scale";
import { levelOf, worst } from "./level";
import { judge, latest } from "./read";
import { status } from "./status";
import { summarize } from "./summary";
import { hostFacts } from "./facts";
import { rowViews } from "./table";
import { tileViews } from "./tiles";
import { assignSlots, lineLabel, noMemory, trendData, unmeasured } from "./trends";

const limits = { warn: 0.8, crit: 0.95 };
const start = Date.UTC(2026, 0, 5, 10, 41);

const dashboard: Dashboard = {
  id: "overview",
  title: "Overview",
  stepMs: 1000,
  rangeMs: 60_000,
  queries: { cpu: {}, by: {} },
  tiles: [{ id: "cpu", title: "CPU", unit: "1", format: "percent", query: "cpu", better: "lower", compare: null, ...limits }],
  trends: [{ id: "cpu", title: "CPU", unit: "1", format: "percent", max: 1, compare: null, lines: [{ query: "by", label: "{agent}" }] }],
  table: { title: "Hosts", row: "agent", link: "/hosts/{agent}", columns: [{ title: "CPU", query: "by", unit: "1", format: "percent", ...limits }] },
  storage: null,
};

const agent = (name: string, connected = true): Agent => ({
  agent: name,
  labels: {},
  attributes: {},
  connected,
  lastSeen: start - 120_000,
  intervalMs: 1000,
  clockOffsetMs: null,
});

/** Thirty windows; each host's values come from a function of the window's index. */
function gridOf(hosts: Readonly<Record<string, (i: number) => number | null>>, total: (i: number) => number | null = () => 0.2): Grid {
  const grid = new Grid({ stepMs: 1000, depth: 120, deep: new Set(["cpu", "by"]) });
  const indexes = Array.from({ length: 30 }, (_, i) => i);
  applySnapshot(grid, {
    type: "snapshot",
    since: start,
    end: start + 29_000,
    queries: {
      cpu: { groups: [{}], values: [indexes.map(total)] },
      by: { groups: Object.keys(hosts).map((name) => ({ agent: name })), values: Object.values(hosts).map((f) => indexes.map(f)) },
    },
  });
  return grid;
}

/** As above, a few seconds on. */
function longGrid(): Grid {
  const grid = gridOf({ a: () => 0.1 });
  grid.advance(start + 35_000);
  return grid;
}

const say = (grid: Grid, agents: readonly Agent[], host: string | null = null) =>
  status({ dashboard, grid, viewEnd: grid.end, agents, agent: host, storage: { kind: "well" } });

describe("levels", () => {
  it("judges by thresholds, in either direction", () => {
    expect([0.5, 0.8, 0.94, 0.95, NaN].map((v) => levelOf(v, limits))).toEqual(["ok", "warning", "warning", "critical", "ok"]);
    expect([30, 20, 5].map((v) => levelOf(v, { warn: 20, crit: 10 }))).toEqual(["ok", "warning", "critical"]);
    expect(levelOf(99, { warn: null, crit: null })).toBe("ok");
  });

  it("is as bad as the worst", () => {
    expect(worst(["ok", "warning", "unknown"])).toBe("unknown");
    expect(worst(["unknown", "critical"])).toBe("critical");
    expect(worst([])).toBe("ok");
  });
});

describe("judging", () => {
  it("is not moved by one bad second, nor by one good one", () => {
    const spike = gridOf({ a: (i) => (i === 28 ? 1 : 0.1) });
    expect(judge(spike, "by", "agent=a", spike.end, limits).level).toBe("ok");
    const dip = gridOf({ a: (i) => (i === 28 ? 0.1 : 1) });
    expect(judge(dip, "by", "agent=a", dip.end, limits).level).toBe("critical");
  });

  it("knows since when, and when it does not", () => {
    const risen = gridOf({ a: (i) => (i < 12 ? 0.1 : 0.9) });
    expect(judge(risen, "by", "agent=a", risen.end, limits)).toMatchObject({ level: "warning", since: start + 12_000 });
    const always = gridOf({ a: () => 0.9 });
    expect(judge(always, "by", "agent=a", always.end, limits)).toMatchObject({ level: "warning", since: 0 });
  });

  it("carries a value over a late window, but not for long", () => {
    const late = gridOf({ a: (i) => (i > 27 ? null : 0.4) });
    expect(latest(late, "by", "agent=a", late.end)).toEqual({ value: 0.4, end: start + 27_000, current: true });
    const gone = gridOf({ a: (i) => (i > 20 ? null : 0.4) });
    expect(latest(gone, "by", "agent=a", gone.end)).toMatchObject({ value: 0.4, current: false });
  });
});

describe("status", () => {
  it("is well when all are", () => {
    expect(say(gridOf({ a: () => 0.1, b: () => 0.2 }), [agent("a"), agent("b")])).toEqual({
      level: "ok",
      sentence: "All 2 hosts are well",
      since: 0,
      exceptions: [],
    });
  });

  it("names the exceptions, worst first", () => {
    const grid = gridOf({ a: (i) => (i < 12 ? 0.1 : 0.85), b: () => 0.2, c: () => 0.99 });
    const verdict = say(grid, [agent("a"), agent("b"), agent("c"), agent("d", false)]);
    expect(verdict.level).toBe("critical");
    expect(verdict.sentence).toBe("3 of 4 hosts need attention");
    expect(verdict.exceptions.map((e) => [e.subject, e.level, e.text, e.href])).toEqual([
      ["c", "critical", "CPU 99.0\u202f%", "/hosts/c"],
      ["d", "unknown", "silent", "/hosts/d"],
      ["a", "warning", "CPU 85.0\u202f%", "/hosts/a"],
    ]);
    expect(verdict.exceptions.map((e) => e.since)).toEqual([0, start - 120_000, start + 12_000]);
  });

  it("calls a host silent that is connected and sends nothing", () => {
    const grid = gridOf({ a: () => 0.1, b: (i) => (i < 10 ? 0.1 : null) });
    expect(say(grid, [agent("a"), agent("b")]).exceptions).toMatchObject([{ subject: "b", level: "unknown", since: start + 9_000 }]);
    expect(say(grid, [agent("a"), agent("b")]).sentence).toBe("1 of 2 hosts needs attention");
  });

  it("speaks of all hosts together only where no host explains it", () => {
    const calm = gridOf({ a: () => 0.1 }, () => 0.9);
    expect(say(calm, [agent("a")])).toMatchObject({ sentence: "1 measure needs attention", exceptions: [{ subject: "All hosts" }] });
    const explained = gridOf({ a: () => 0.9 }, () => 0.9);
    expect(say(explained, [agent("a")]).exceptions.map((e) => e.subject)).toEqual(["a"]);
  });

  it("speaks of one host on its own page", () => {
    const bad = gridOf({}, () => 0.9);
    expect(say(bad, [agent("a")], "a").sentence).toBe("a: 1 measure needs attention");
    expect(say(bad, [agent("a", false)], "a")).toMatchObject({ level: "unknown", sentence: "a is silent" });
    expect(say(gridOf({}), [agent("a")], "a").sentence).toBe("a is well");
  });

  it("claims nothing before the first data", () => {
    const grid = new Grid({ stepMs: 1000, depth: 10, deep: new Set() });
    expect(say(grid, [])).toEqual({ level: "unknown", sentence: "Waiting for the first data", exceptions: [], since: 0 });
  });
});

describe("facts of a host", () => {
  it("are told as people say them, with the operator's labels first and what is unknown by its name", () => {
    const told = hostFacts(
      {
        ...agent("web-1"),
        labels: { region: "eu" },
        attributes: {
          "host.name": "web-1", "os.name": "debian", "os.version": "12.11", "os.description": "debian 12.11 (linux)", "os.kernel.version": "6.18",
          "host.cpu.count": "2", "host.cpu.model.name": "AMD EPYC", "host.memory.size": "25276502016", "host.boot_time": new Date(start).toISOString(), rack: "7",
        },
      },
      start + 60_000,
    );
    expect(told).toEqual([
      ["region", "eu"], ["OS", "Debian 12.11"], ["Kernel", "6.18"], ["CPU", "2 × AMD EPYC"], ["Memory", "23.5\u202fGiB"], ["Booted", "10:41"], ["rack", "7"],
    ]);
  });

  it("survive what no agent of ours would say", () => {
    expect(hostFacts({ ...agent("a"), attributes: { "host.memory.size": "much", "host.boot_time": "once", "host.cpu.count": "1" } }, start)).toEqual([
      ["CPU", "1 core"], ["Memory", "much"], ["Booted", "once"],
    ]);
  });
});

describe("table", () => {
  it("lists every host known, in the order of names, and tells missing from not measured", () => {
    const grid = gridOf({ "web-10": () => 0.5, "web-2": (i) => (i > 24 ? null : 0.5) });
    const rows = rowViews(dashboard.table ?? never(), grid, [agent("web-2"), agent("web-10"), agent("db", false)], grid.end, new Map([["db", "12 s lost"]]));
    expect(rows.map((row) => row.lost)).toEqual(["12 s lost", "", ""]);
    expect(rows.map((row) => [row.name, row.level, row.cells[0]?.text, row.cells[0]?.share])).toEqual([
      ["db", "unknown", "–", null],
      ["web-2", "ok", "no data", null],
      ["web-10", "ok", "50.0\u202f%", 0.5],
    ]);
  });

  it("makes links that survive any name", () => {
    const grid = gridOf({ "a/b c": () => 0.5 });
    expect(rowViews(dashboard.table ?? never(), grid, [], grid.end, new Map())[0]?.href).toBe("/hosts/a%2Fb%20c");
  });
});

function never(): never {
  throw new Error("the dashboard has a table");
}

describe("tiles", () => {
  const view = (grid: Grid) =>
    tileViews({
      dashboard,
      grid,
      viewEnd: grid.end,
      comparisons: new Map([["cpu", { current: 0.3, previous: 0.25, normal: null }]]),
      scales: new Map<string, Scale>(),
      period: "1 min",
    })[0];

  it("shows value, change, range and status", () => {
    expect(view(gridOf({}, (i) => 0.1 + i / 100))).toMatchObject({
      shown: { text: "39.0", unit: "%" },
      change: { delta: { text: "+5.0\u202fpt", tone: "bad" }, against: "previous 1 min" },
      range: "10.0–39.0\u202f% in 1 min",
      old: "",
      level: "ok",
    });
  });

  it("keeps a last known value, marked with its time", () => {
    expect(view(gridOf({}, (i) => (i > 5 ? null : 0.5)))).toMatchObject({ shown: { text: "50.0" }, old: "last value 10:41:05" });
    expect(view(gridOf({}, () => 0.5))).toMatchObject({ range: "50.0\u202f% throughout 1 min" });
    expect(view(gridOf({}, () => null))).toMatchObject({ shown: { text: "no data", unit: "" }, old: "", range: "" });
  });
});

describe("trends", () => {
  const many: TrendDef = { id: "t", title: "T", unit: "1", format: "percent", max: 1, compare: null, lines: [{ query: "by", label: "{agent}" }] };

  it("shows the five largest, and keeps them for a minute", () => {
    const grid = gridOf(Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`h${n}`, () => n / 10])));
    const [data, memory] = trendData(many, grid, grid.end, 20_000, noMemory);
    expect(data.lines.map((line) => line.label)).toEqual(["h7", "h6", "h5", "h4", "h3"]);
    expect(data.lines.map((line) => line.id)).toContain("by\nagent=h3");
    expect(data.total).toBe(8);
    expect(data.lines[0]?.values).toHaveLength(20);
    expect(new Set(data.lines.map((line) => line.slot)).size).toBe(5);
    expect(trendData(many, grid, grid.end + 30_000, 20_000, memory)[1]).toBe(memory);
  });

  it("changes a line only for one that clearly outweighs it, and in its place", () => {
    const shape = (last: number): Grid => gridOf(Object.fromEntries([5, 4, 3, 2, 1, last].map((size, n) => [`h${n}`, () => size])));
    const [, memory] = trendData(many, shape(0.5), start + 29_000, 20_000, noMemory);
    const later = { ...memory, decidedAt: memory.decidedAt - 60_000 };
    const labels = (last: number): string[] => trendData(many, shape(last), start + 29_000, 20_000, later)[0].lines.map((line) => line.label);
    expect(labels(1.4)).toEqual(["h0", "h1", "h2", "h3", "h4"]);
    expect(labels(1.6)).toEqual(["h0", "h1", "h2", "h3", "h5"]);
  });

  it("keeps the lines of groups that left while their values are in range, in their colours", () => {
    const grid = gridOf({ a: () => 0.1, b: () => 0.2 });
    const [before, memory] = trendData(many, grid, grid.end, 20_000, noMemory);
    grid.setGroups("by", []);
    const [without, kept] = trendData(many, grid, grid.end, 20_000, memory);
    expect(without.lines.map((line) => [line.label, line.slot])).toEqual(before.lines.map((line) => [line.label, line.slot]));
    grid.setGroups("by", [{ agent: "b" }]);
    grid.advance(grid.end + 25_000);
    expect(trendData(many, grid, grid.end, 20_000, kept)[0].lines.map((line) => [line.label, line.slot])).toEqual([["b", 1]]);
  });

  it("knows what is not measured once other things have been for a while", () => {
    const [measured] = trendData(many, gridOf({ a: () => 0.1 }), start + 29_000, 60_000, noMemory);
    const [nothing] = trendData(many, gridOf({}), start + 29_000, 60_000, noMemory);
    const at = (last: typeof measured): string[] => [...unmeasured(new Map([["t", last], ["swap", nothing]]), 1000)];
    expect(at(measured)).toEqual([]);
    const [later] = trendData(many, longGrid(), start + 35_000, 60_000, noMemory);
    expect(at(later)).toEqual(["swap"]);
    expect([...unmeasured(new Map([["swap", nothing]]), 1000)]).toEqual([]);
  });

  it("leaves colours with their lines", () => {
    const first = assignSlots(["a", "b", "c"], new Map());
    expect([...first]).toEqual([["a", 0], ["b", 1], ["c", 2]]);
    expect(assignSlots(["b", "c", "d"], first)).toEqual(new Map([["b", 1], ["c", 2], ["d", 0]]));
  });

  it("fills names into labels, and adds them where lines would be called alike", () => {
    expect(lineLabel("{agent}", { agent: "web" }, true)).toBe("web");
    expect(lineLabel("read", {}, false)).toBe("read");
    expect(lineLabel("read", { device: "sda" }, true)).toBe("read sda");
    expect(lineLabel("{system.device} {disk.io.direction}", { "system.device": "sda", "disk.io.direction": "read" }, true)).toBe("sda read");
    expect(lineLabel("{nothing}", { device: "sda" }, true)).toBe("sda");
  });

  it("sums itself up in a sentence", () => {
    const grid = gridOf({ a: (i) => (i === 10 ? 0.9 : 0.2) });
    const [data] = trendData(many, grid, grid.end, 30_000, noMemory);
    expect(summarize(many, data).text).toBe("now 20.0\u202f%, peak 90.0\u202f% at 10:41:10");
    expect(summarize(many, data).short).toBe("now 20.0\u202f%, peak 90.0\u202f% at 10:41");
    const wide = gridOf(Object.fromEntries(["one", "two", "three", "four"].map((name) => [`host-${name}`, () => 0.2])));
    expect(summarize(many, trendData(many, wide, wide.end, 30_000, noMemory)[0]).short).toBe("peak 20.0\u202f% at 10:41");
    const [none] = trendData(many, gridOf({ a: () => null }), grid.end, 30_000, noMemory);
    expect(summarize(many, none).text).toBe("No data in this range");
  });
});
