import { describe, expect, it } from "vitest";
import { addNotice } from "../store/state";
import { decodeAgents, decodeAnnotations, decodeDashboard, decodeEvent, decodeGaps, decodeHistory, decodeRefusal } from "./decode";
import { DecodeError } from "./json";

const definition = {
  id: "overview",
  title: "Overview",
  step_ms: 1000,
  range_ms: 900_000,
  queries: { cpu: { metric: "system.cpu.utilization", over: "avg" } },
  tiles: [{ id: "cpu", title: "CPU", unit: "1", format: "percent", query: "cpu", better: "lower", warn: 0.8, crit: 0.95 }],
  trends: [{ id: "cpu", title: "CPU", unit: "1", format: "percent", max: 1, lines: [{ query: "cpu", label: "all" }] }],
  table: { title: "Hosts", row: "agent", link: "/hosts/{agent}", columns: [{ title: "CPU", query: "cpu", format: "percent" }] },
  later: "unknown fields are no trouble",
};

describe("decoder", () => {
  it("reads a dashboard and fills in what may be left out", () => {
    const dashboard = decodeDashboard(definition);
    expect(dashboard.tiles[0]).toMatchObject({ better: "lower", warn: 0.8, crit: 0.95 });
    expect(dashboard.table?.columns[0]).toMatchObject({ unit: "1", warn: null, crit: null });
    expect(decodeDashboard({ ...definition, tiles: undefined, trends: undefined, table: undefined })).toMatchObject({
      tiles: [],
      trends: [],
      table: null,
    });
  });

  it("names the place of what it refuses", () => {
    const broken = { ...definition, tiles: [{ ...definition.tiles[0], format: "roman" }] };
    expect(() => decodeDashboard(broken)).toThrow("tiles[0].format: expected one of percent");
    expect(() => decodeEvent("tick", { end: 1, values: { cpu: ["1"] } })).toThrow("tick.values.cpu[0]: expected a finite number");
    expect(() => decodeEvent("snapshot", null)).toThrow(DecodeError);
  });

  it("reads the events of the stream", () => {
    expect(decodeEvent("tick", { end: 2, values: { cpu: [1, null] }, amend: [{ end: 1, values: { cpu: [0.5] } }] })).toEqual({
      type: "tick",
      end: 2,
      past: null,
      values: { cpu: [1, null] },
      groups: {},
      amend: [{ end: 1, values: { cpu: [0.5] }, groups: {} }],
    });
    expect(decodeEvent("gap", { from: 1, to: 2, reason: "ring" })).toEqual({ type: "gap", from: 1, to: 2, reason: "ring" });
    const told = { id: "1", start: 5, end: null, kind: "deploy", title: "shop", text: "", tags: { a: "b" }, author: "ci", updated: 6 };
    expect(decodeEvent("annotation", { ...told, recorded: 6, key: "k" })).toEqual({ type: "annotation", annotation: told });
    expect(decodeAnnotations({ events: [{ ...told, end: 7 }], more: false })).toEqual([{ ...told, end: 7 }]);
    expect(decodeEvent("bye", { reason: "expired" })).toEqual({ type: "bye", reason: "expired" });
  });

  it("reads history, agents and refusals", () => {
    const columns = { groups: [{ agent: "a" }], values: [[1, null]] };
    expect(decodeHistory({ from: 0, to: 2, step_ms: 1, ends: [1, 2], queries: { cpu: columns } })).toEqual({
      stepMs: 1,
      ends: [1, 2],
      queries: { cpu: columns },
    });
    expect(decodeAgents({ agents: [{ agent: "a", connected: false, last_seen: 5, labels: null }] })[0]).toMatchObject({ labels: {}, lastSeen: 5, clockOffsetMs: null });
    const gap = { agent: "a", from: 1, to: 2, count: null, reason: "corrupt" };
    expect(decodeGaps({ gaps: [{ ...gap, declared: 3 }, { ...gap, count: 7 }] })).toEqual([gap, { ...gap, count: 7 }]);
    expect(decodeRefusal({ error: { code: "limit_points", message: "too many points" } })?.message).toBe("too many points");
    expect(decodeRefusal("<html>")).toBeNull();
  });
});

describe("notices", () => {
  it("keeps the newest few", () => {
    let notices = addNotice([], { type: "notice", level: "info", text: "1" });
    for (const text of ["2", "3", "4"]) notices = addNotice(notices, { type: "notice", level: "info", text });
    expect(notices.map((notice) => notice.text)).toEqual(["2", "3", "4"]);
    expect(new Set(notices.map((notice) => notice.id)).size).toBe(3);
  });
});
