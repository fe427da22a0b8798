import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { StreamEvent } from "../api/types";
import { StreamSource, type EventSourceLike } from "./source";

/** Stands in for the browser's EventSource: the test plays the hub. */
class Peer implements EventSourceLike {
  readyState = 0;
  onopen: ((event: Event) => unknown) | null = null;
  onerror: ((event: Event) => unknown) | null = null;
  closed = false;
  readonly #listeners = new Map<string, (event: MessageEvent<string>) => void>();

  constructor(readonly url: string) {}

  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void {
    this.#listeners.set(type, listener);
  }

  close(): void {
    this.closed = true;
    this.readyState = 2;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
  }

  send(type: string, data: unknown, lastEventId = ""): void {
    this.#listeners.get(type)?.({ data: JSON.stringify(data), lastEventId } as MessageEvent<string>);
  }

  fail(readyState: number): void {
    this.readyState = readyState;
    this.onerror?.({} as Event);
  }
}

const hello = { version: 1, build: "b", server_time: 1, dashboard: "overview", step_ms: 1000 };

function setUp(refused = false) {
  const peers: Peer[] = [];
  const events: StreamEvent["type"][] = [];
  const links: string[] = [];
  const unauthorized = vi.fn();
  const foreign = vi.fn();
  const source = new StreamSource({
    open: (url) => {
      const peer = new Peer(url);
      peers.push(peer);
      return peer;
    },
    url: (lastId) => `/stream?last=${lastId}`,
    onEvent: (event) => events.push(event.type),
    onLink: (link) => links.push(link),
    refused: () => Promise.resolve(refused),
    onUnauthorized: unauthorized,
    onForeign: foreign,
    random: () => 0.5,
  });
  const newest = (): Peer => {
    const peer = peers.at(-1);
    if (peer === undefined) throw new Error("no stream was opened");
    return peer;
  };
  return { source, peers, newest, events, links, unauthorized, foreign };
}

describe("stream source", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("is open from the hello on, not from the answer alone", () => {
    const { source, newest, events, links } = setUp();
    source.start(0);
    newest().open();
    expect(links).toEqual([]);
    newest().send("hello", hello);
    newest().send("tick", { end: 5000, values: { cpu: [1] } }, "5000");
    expect(links).toEqual(["open"]);
    expect(events).toEqual(["hello", "tick"]);
  });

  it("leaves the first try after an end to the browser, which knows the hub's retry", () => {
    const { source, peers, newest, links } = setUp();
    source.start(0);
    newest().open();
    newest().send("hello", hello);
    newest().fail(0);
    expect(links.at(-1)).toBe("lost");
    vi.advanceTimersByTime(40_000);
    expect(peers).toHaveLength(1);
    expect(newest().closed).toBe(false);
  });

  it("takes over with a growing wait when that fails, for ever, resuming after the last event", async () => {
    const { source, peers, newest } = setUp();
    source.start(1000);
    expect(newest().url).toBe("/stream?last=1000");
    newest().open();
    newest().send("tick", { end: 7000, values: {} }, "7000");
    newest().fail(0);
    newest().fail(0);
    const waits: number[] = [];
    for (let i = 0; i < 40; i++) {
      const before = peers.length;
      let waited = 0;
      while (peers.length === before && waited < 60_000) {
        await vi.advanceTimersByTimeAsync(250);
        waited += 250;
      }
      waits.push(waited);
      newest().fail(0);
    }
    expect(newest().url).toBe("/stream?last=7000");
    expect(waits.slice(0, 6)).toEqual([750, 1500, 3000, 6000, 12_000, 22_500]);
    expect(Math.max(...waits)).toBe(22_500);
    expect(peers.slice(0, -1).every((peer) => peer.closed)).toBe(true);
  });

  it("asks why it was refused, and goes to the sign-in only for that reason", async () => {
    const away = setUp(false);
    away.source.start(0);
    away.newest().fail(2);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(away.unauthorized).not.toHaveBeenCalled();
    expect(away.peers).toHaveLength(2);

    const out = setUp(true);
    out.source.start(0);
    out.newest().fail(2);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(out.unauthorized).toHaveBeenCalledOnce();
    expect(out.peers).toHaveLength(1);
  });

  it("tries at once when kicked, but leaves an open stream alone", async () => {
    const { source, peers, newest } = setUp();
    source.start(0);
    source.kick();
    expect(peers).toHaveLength(1);
    newest().open();
    source.kick();
    expect(peers).toHaveLength(1);
    newest().fail(0);
    source.kick();
    expect(peers).toHaveLength(2);
    newest().fail(2);
    await vi.advanceTimersByTimeAsync(0);
    source.kick();
    expect(peers).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(peers).toHaveLength(3);
  });

  it("ends with the session, and goes on after a shutdown", () => {
    const { source, newest, unauthorized } = setUp();
    source.start(0);
    newest().open();
    newest().send("bye", { reason: "shutdown" });
    expect(unauthorized).not.toHaveBeenCalled();
    newest().send("bye", { reason: "revoked" });
    expect(unauthorized).toHaveBeenCalledOnce();
    expect(newest().closed).toBe(true);
  });

  it("opens anew after a silence no healthy stream has", () => {
    const { source, peers, newest, links } = setUp();
    source.start(0);
    newest().open();
    newest().send("hello", hello);
    vi.advanceTimersByTime(44_000);
    expect(peers).toHaveLength(1);
    vi.advanceTimersByTime(2_000);
    expect(peers).toHaveLength(2);
    expect(peers[0]?.closed).toBe(true);
    expect(links.at(-1)).toBe("lost");
  });

  it("says when it does not understand the hub, and ignores what it does not know", () => {
    const { source, newest, foreign, events } = setUp();
    source.start(0);
    newest().open();
    newest().send("hello", { ...hello, more: true });
    newest().send("news", { any: "thing" });
    expect(foreign).not.toHaveBeenCalled();
    newest().send("tick", { end: "soon" });
    expect(foreign).toHaveBeenCalledOnce();
    expect(events).toEqual(["hello"]);
  });

  it("hears nothing of a stream it has closed", () => {
    const { source, newest, events } = setUp();
    source.start(0);
    const old = newest();
    source.stop();
    old.send("hello", hello);
    old.fail(0);
    vi.advanceTimersByTime(100_000);
    expect(events).toEqual([]);
    expect(newest()).toBe(old);
  });
});
