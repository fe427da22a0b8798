import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Snapshot, StreamEvent } from "../api/types";
import { Browser, Wire } from "./fake";
import { SharedStream } from "./share";
import type { StreamSource } from "./source";

const snapshotAt = (end: number): Snapshot => ({ type: "snapshot", since: end - 1000, end, queries: {} });
const tick = (end: number): StreamEvent => ({ type: "tick", end, values: {}, groups: {}, amend: [] });

/** A tab whose board does what the real one does with ids: it remembers the newest window that the stream gave. */
function tab(browser: Browser | null, lastId = 0, key = "overview") {
  const source = { start: vi.fn(), stop: vi.fn(), kick: vi.fn() };
  const seen: string[] = [];
  const hellos: number[] = [];
  const links: string[] = [];
  const unauthorized = vi.fn();
  const wire = browser === null ? null : new Wire(browser);
  const shared = new SharedStream({
    key,
    source: source as unknown as StreamSource,
    lastId: () => lastId,
    snapshot: () => (lastId === 0 ? null : snapshotAt(lastId)),
    onEvent: (event) => {
      if (event.type === "hello") hellos.push(event.serverTime);
      if (event.type === "tick" || event.type === "snapshot") lastId = event.end;
      seen.push(event.type === "tick" || event.type === "snapshot" ? `${event.type} ${event.end}` : event.type);
    },
    onLink: (link) => links.push(link),
    onUnauthorized: unauthorized,
    locks: wire?.locks,
    channel: wire?.channel,
  });
  const lose = (what: () => void): void => {
    if (wire !== null) wire.mode = "lost";
    what();
    if (wire !== null) wire.mode = "open";
  };
  return { shared, source, seen, hellos, links, unauthorized, wire, lose };
}

const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

describe("shared stream", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  async function publish(by: ReturnType<typeof tab>, event: StreamEvent): Promise<void> {
    by.shared.publish(event);
    await settle();
  }

  async function leaderAndFollower(browser: Browser) {
    const first = tab(browser);
    first.shared.start();
    await settle();
    await publish(first, { type: "hello", version: 1, build: "b", serverTime: 10_000 });
    first.shared.publishLink("open");
    await publish(first, snapshotAt(2000));
    const second = tab(browser);
    second.shared.start();
    await settle();
    return { first, second };
  }

  it("opens one stream for all tabs, and hands a newcomer the state", async () => {
    const { first, second } = await leaderAndFollower(new Browser());
    await publish(first, tick(3000));
    expect(first.source.start).toHaveBeenCalledWith(0);
    expect(second.source.start).not.toHaveBeenCalled();
    expect(second.seen).toEqual(["hello", "snapshot 2000", "tick 3000"]);
    expect(second.links.at(-1)).toBe("open");
    expect(first.seen).toEqual(["hello", "snapshot 2000", "tick 3000"]);
  });

  it("tells a newcomer the hub's time as it is by then", async () => {
    const browser = new Browser();
    const { second } = await leaderAndFollower(browser);
    expect(second.hellos).toEqual([10_000]);
    await vi.advanceTimersByTimeAsync(5_000);
    const third = tab(browser);
    third.shared.start();
    await settle();
    expect(third.hellos).toEqual([15_000]);
  });

  it("gives each dashboard a stream of its own", async () => {
    const browser = new Browser();
    const { first, second } = await leaderAndFollower(browser);
    const host = tab(browser, 0, "host?agent=web-1");
    host.shared.start();
    await settle();
    expect(host.source.start).toHaveBeenCalledWith(0);
    await publish(first, tick(3000));
    expect(second.seen.at(-1)).toBe("tick 3000");
    expect(host.seen).toEqual([]);
  });

  it("passes the stream on when the leading tab leaves, resuming from what the next one has", async () => {
    const { first, second } = await leaderAndFollower(new Browser());
    await publish(first, tick(3000));
    first.shared.stop();
    await settle();
    expect(first.source.stop).toHaveBeenCalled();
    expect(second.source.start).toHaveBeenCalledWith(3000);
    expect(second.shared.leading).toBe(true);
  });

  it("misses and doubles nothing where the next leader is ahead of others, or behind", async () => {
    const browser = new Browser();
    const { first, second } = await leaderAndFollower(browser);
    const third = tab(browser);
    third.shared.start();
    await settle();
    await publish(first, tick(3000));
    // The last word of a leader that crashed reached one of the two.
    third.lose(() => {
      first.shared.publish(tick(4000));
    });
    await settle();
    first.shared.stop();
    await settle();
    expect(second.source.start).toHaveBeenCalledWith(4000);
    await publish(second, tick(5000));
    expect(third.seen.slice(-3)).toEqual(["tick 3000", "hello", "snapshot 5000"]);
    await publish(second, tick(6000));
    expect(third.seen.at(-1)).toBe("tick 6000");

    // And the other way round: the next leader is told again what the rest know.
    third.lose(() => {
      second.shared.publish(tick(7000));
    });
    await settle();
    const fourth = tab(browser);
    fourth.shared.start();
    await settle();
    second.shared.stop();
    await settle();
    expect(third.source.start).toHaveBeenCalledWith(6000);
    await publish(third, tick(7000));
    await publish(third, tick(8000));
    expect(fourth.seen).toEqual(["hello", "snapshot 7000", "tick 8000"]);
  });

  it("takes the lead from a tab that has gone silent", async () => {
    const browser = new Browser();
    const frozen = tab(browser);
    frozen.shared.start();
    await settle();
    const second = tab(browser);
    second.shared.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(second.source.start).not.toHaveBeenCalled();
    // Frozen: its timers run no more.
    vi.clearAllTimers();
    const third = tab(browser);
    third.shared.start();
    await vi.advanceTimersByTimeAsync(15_000);
    expect([second, third].map((each) => each.shared.leading).sort()).toEqual([false, true]);
    expect(second.source.start.mock.calls.length + third.source.start.mock.calls.length).toBe(1);
    expect(frozen.shared.leading).toBe(false);
    expect(frozen.source.stop).toHaveBeenCalled();
  });

  it("does not listen to a leader that thaws, which itself asks for what it missed", async () => {
    const browser = new Browser();
    const { first, second } = await leaderAndFollower(browser);
    const third = tab(browser);
    third.shared.start();
    await settle();
    // The first is frozen: it hears nothing, and its lock is taken without its knowing.
    if (first.wire !== null) first.wire.mode = "frozen";
    vi.clearAllTimers();
    const fourth = tab(browser);
    fourth.shared.start();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(fourth.source.start).toHaveBeenCalledWith(0);
    await publish(fourth, snapshotAt(20_000));
    // What had piled up in its stream comes out before it learns of the other.
    await publish(first, tick(3000));
    await publish(first, snapshotAt(4000));
    expect(second.seen.slice(-1)).toEqual(["snapshot 20000"]);
    expect(third.seen.slice(-1)).toEqual(["snapshot 20000"]);
    first.wire?.thaw();
    await publish(fourth, tick(21_000));
    await settle();
    expect(first.shared.leading).toBe(false);
    expect(first.source.stop).toHaveBeenCalled();
    expect(first.seen.at(-1)).toBe("snapshot 21000");
    await publish(fourth, tick(22_000));
    for (const each of [first, second, third]) expect(each.seen.at(-1)).toBe("tick 22000");
  });

  it("ignores ticks before it knows the state they change", async () => {
    const browser = new Browser();
    const first = tab(browser);
    first.shared.start();
    await settle();
    const second = tab(browser);
    second.shared.start();
    await settle();
    await publish(first, tick(3000));
    expect(second.seen).toEqual(["snapshot 3000"]);
    await publish(first, tick(4000));
    expect(second.seen).toEqual(["snapshot 3000", "tick 4000"]);
  });

  it("signs all tabs out together", async () => {
    const browser = new Browser();
    const first = tab(browser);
    const second = tab(browser);
    first.shared.start();
    second.shared.start();
    await settle();
    first.shared.publishUnauthorized();
    await settle();
    expect(second.unauthorized).toHaveBeenCalledOnce();
    expect(first.unauthorized).toHaveBeenCalledOnce();
  });

  it("works where the browser has neither locks nor channels", () => {
    const alone = tab(null, 42);
    alone.shared.start();
    expect(alone.source.start).toHaveBeenCalledWith(42);
    alone.shared.publish(tick(1000));
    expect(alone.seen).toEqual(["tick 1000"]);
    alone.shared.stop();
    expect(alone.source.stop).toHaveBeenCalled();
  });
});
