// The board with everything but its browser: what it asks of history, and what it still holds after a week.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Group, Snapshot, StreamEvent } from "../api/types";
import type { StreamPorts } from "../stream/client";
import { Board } from "./board";

const t0 = 1_763_800_000_000;
const rangeMs = 900_000;
const definition = {
  id: "overview", title: "Overview", step_ms: 1000, range_ms: rangeMs,
  queries: { cpu: { metric: "a" }, by_host: { metric: "a", by: ["agent"] } },
  tiles: [{ id: "cpu", title: "CPU", format: "percent", query: "cpu" }],
  trends: [{ id: "cpu", title: "CPU", format: "percent", lines: [{ query: "cpu", label: "all" }, { query: "by_host", label: "{agent}" }] }],
};

let stream: StreamPorts | null = null;
vi.mock("../stream/client", () => ({
  openStream: (ports: StreamPorts) => {
    stream = ports;
    return () => undefined;
  },
}));

interface Asked {
  readonly from: number;
  readonly to: number;
  readonly step: string;
}

const annotation = (id: string, start: number, updated = start) => ({
  id, start, end: null, kind: "deploy", title: id, text: "", tags: {}, author: "ci", updated,
});

/** A hub that knows every window, and what it was asked for charts. */
function fakeHub() {
  const asked: Asked[] = [];
  const events = { list: [annotation("listed", t0 - 1000)], asked: 0 };
  const answer = (body: Asked) => {
    const stepMs = body.step === "1s" ? 1000 : 10_000;
    const ends = Array.from({ length: (body.to - body.from) / stepMs }, (_, i) => body.from + (i + 1) * stepMs);
    const columns = { groups: [{}], values: [ends.map((end) => end / 1000)] };
    return { from: body.from, to: body.to, step_ms: stepMs, ends, queries: { cpu: columns } };
  };
  const fetch = (path: string, init: RequestInit): Promise<Response> => {
    if (path.startsWith("/api/v1/dashboards/")) return Promise.resolve(Response.json(definition));
    if (path === "/api/v1/session") return Promise.resolve(Response.json({ user: "ada", role: "analyst", expires: t0 }));
    if (path.startsWith("/api/v1/events")) {
      events.asked++;
      return Promise.resolve(Response.json({ events: events.list, more: false }));
    }
    if (path !== "/api/v1/query") return Promise.resolve(Response.json({ agents: [] }));
    const body = JSON.parse(init.body as string) as Asked;
    if (body.step === "1s") asked.push(body);
    return Promise.resolve(Response.json(answer(body)));
  };
  return { asked, events, fetch };
}

const snapshot = (end: number, windows = 60): Snapshot => ({
  type: "snapshot",
  end,
  since: end - (windows - 1) * 1000,
  queries: { cpu: { groups: [{}], values: [Array.from({ length: windows }, (_, i) => end / 1000 - windows + 1 + i)] } },
});
const tick = (end: number): StreamEvent => ({ type: "tick", end, values: { cpu: [end / 1000] }, groups: {}, amend: [] });

async function openBoard() {
  const hub = fakeHub();
  vi.stubGlobal("fetch", hub.fetch);
  const board = new Board({ ref: { id: "overview", agent: null }, onUnauthorized: vi.fn() });
  board.start();
  await vi.advanceTimersByTimeAsync(0);
  if (stream === null || board.grid === null) throw new Error("the board opened no stream");
  const { onEvent, lastId } = stream;
  onEvent({ type: "hello", version: 1, build: "b", serverTime: t0 });
  onEvent(snapshot(t0));
  await vi.advanceTimersByTimeAsync(100_000);
  return { board, hub, grid: board.grid, say: onEvent, lastId, link: stream.onLink };
}

describe("board", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: t0 });
    vi.stubGlobal("document", Object.assign(new EventTarget(), { visibilityState: "visible" }));
    vi.stubGlobal("requestAnimationFrame", () => 1);
    vi.stubGlobal("cancelAnimationFrame", () => undefined);
    stream = null;
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  /** The windows of the range on screen that have no value. */
  const missing = (grid: { end: number; value: (query: string, key: string, end: number) => number }): number => {
    let count = 0;
    for (let end = grid.end - rangeMs + 1000; end <= grid.end; end += 1000) if (Number.isNaN(grid.value("cpu", "", end))) count++;
    return count;
  };

  it.each([
    ["ten minutes", 600_000, "ring"],
    ["ten minutes, with nobody else there to watch", 600_000, "restart"],
    ["ten minutes, told by another tab that was there", 600_000, ""],
    ["longer than the page remembers", 8 * 3_600_000, "ring"],
  ])("has a complete chart after one request when it was away for %s", async (_, awayMs, reason) => {
    const { board, hub, grid, say, lastId } = await openBoard();
    expect(missing(grid)).toBe(0);
    hub.asked.length = 0;
    const back = t0 + awayMs;
    if (reason !== "") say({ type: "gap", from: lastId(), to: back - 60_000, reason });
    say(snapshot(back));
    await vi.advanceTimersByTimeAsync(0);
    expect(missing(grid)).toBe(0);
    await vi.advanceTimersByTimeAsync(200_000);
    expect(hub.asked).toEqual([{ from: Math.max(t0 - 11_000, back - rangeMs), to: back - 60_000, step: "1s", queries: definition.queries }]);
    board.stop();
  });

  it("asks for a gap once more as agents deliver what they held back while the hub was down", async () => {
    const { board, hub, say, lastId, link } = await openBoard();
    hub.asked.length = 0;
    link("lost");
    say({ type: "gap", from: lastId(), to: t0 + 30_000, reason: "restart" });
    say(snapshot(t0 + 31_000, 1));
    await vi.advanceTimersByTimeAsync(200_000);
    expect(hub.asked).toHaveLength(4);
    expect(new Set(hub.asked.map((ask) => `${ask.from - t0} ${ask.to - t0}`))).toEqual(new Set(["-11000 30000"]));
    board.stop();
  });

  it("asks for nothing where a reconnection missed nothing", async () => {
    const { board, hub, say } = await openBoard();
    hub.asked.length = 0;
    for (let i = 1; i < 100; i++) say(tick(t0 + i * 1000));
    say(snapshot(t0 + 100_000));
    await vi.advanceTimersByTimeAsync(200_000);
    expect(hub.asked).toEqual([]);
    board.stop();
  });

  it("has what happened from the list and from the stream, in the newest version of each", async () => {
    const { board, hub, say, link } = await openBoard();
    const shown = (): string[] => board.store.get().annotations.map(({ id, updated }) => `${id} ${updated - t0}`);
    expect(board.store.get().annotates).toBe(true);
    expect(shown()).toEqual(["listed -1000"]);
    say({ type: "annotation", annotation: annotation("told", t0) });
    say({ type: "annotation", annotation: annotation("listed", t0 - 1000, t0 + 1) });
    const before = board.store.get().annotations;
    await vi.advanceTimersByTimeAsync(60_000); // the list is behind, and nothing is forgotten for that
    expect(shown()).toEqual(["told 0", "listed 1"]);
    expect(board.store.get().annotations).toBe(before);
    hub.events.list = [annotation("missed", t0 + 5)];
    const { asked } = hub.events;
    link("lost");
    link("open"); // what was recorded while the stream was away
    await vi.advanceTimersByTimeAsync(0);
    expect([shown(), hub.events.asked]).toEqual([["missed 5", "told 0", "listed 1"], asked + 1]);
    await vi.advanceTimersByTimeAsync(2 * rangeMs);
    expect(shown()).toEqual([]);
    board.stop();
  });

  it("holds no more after a week on a wall than after an hour", async () => {
    const { board, grid, say } = await openBoard();
    const hostsAt = (second: number): Group[] => Array.from({ length: 20 }, (_, i) => ({ agent: `pod-${Math.floor(second / 600) + i}` }));
    const feed = (from: number, to: number): void => {
      for (let s = from; s <= to; s++) {
        const groups = s % 600 === 0 || s === 1 ? { by_host: hostsAt(s) } : {};
        const end = t0 + s * 1000;
        const values = { cpu: [s], by_host: Array<number>(20).fill(s) };
        const amend = s % 10 === 0 ? [{ end: end - 3000, values: { cpu: [s] }, groups: {} }] : [];
        say({ type: "tick", end, values, groups, amend });
        if (s % 600 === 0) say({ type: "annotation", annotation: annotation(`${s}`, end) });
        if (s % 3600 === 0) say({ type: "notice", level: "info", text: `hour ${s / 3600}` });
      }
    };
    feed(1, 3600);
    const hour = { rings: grid.rings, windows: grid.windows };
    feed(3601, 604_800);
    expect(grid.end).toBe(t0 + 604_800_000);
    expect({ rings: grid.rings, windows: grid.windows }).toEqual(hour);
    // 1,800 windows of two queries, one with the hosts of half an hour.
    expect(grid.rings).toBeLessThanOrEqual(1 + 24);
    expect(grid.windows).toBeLessThanOrEqual((1 + 24) * 1800);
    const { notices, comparisons, annotations } = board.store.get();
    expect([notices.length, comparisons.size, annotations.length]).toEqual([3, 1, 4]);
    expect(grid.value("cpu", "", grid.end)).toBe(604_800);
    board.stop();
  }, 120_000);
});
