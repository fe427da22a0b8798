import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Snapshot, StreamEvent } from "../api/types";
import { SharedStream } from "./share";
import type { StreamSource } from "./source";

/** One browser: its tabs' channels, and one lock. */
class Browser {
  readonly #channels = new Set<FakeChannel>();
  #holder: { readonly rob: () => void } | null = null;
  readonly #queue: { readonly grant: () => void }[] = [];

  channel = (): BroadcastChannel => {
    const made = new FakeChannel(this.#channels);
    this.#channels.add(made);
    return made as unknown as BroadcastChannel;
  };

  readonly locks = {
    request: (_name: string, options: LockOptions, hold: () => Promise<void>): Promise<void> =>
      new Promise((resolve, reject) => {
        const grant = (): void => {
          const holder = { rob: () => { reject(new Error("stolen")); } };
          this.#holder = holder;
          void hold().then(() => {
            if (this.#holder === holder) {
              this.#holder = null;
              this.#queue.shift()?.grant();
            }
            resolve();
          });
        };
        if (options.steal === true) {
          this.#holder?.rob();
          grant();
        } else if (this.#holder === null) grant();
        else {
          const waiting = { grant };
          this.#queue.push(waiting);
          options.signal?.addEventListener("abort", () => {
            const at = this.#queue.indexOf(waiting);
            if (at >= 0) this.#queue.splice(at, 1);
            reject(new Error("aborted"));
          });
        }
      }),
  } as unknown as LockManager;
}

class FakeChannel {
  onmessage: ((message: MessageEvent<unknown>) => void) | null = null;

  constructor(readonly all: Set<FakeChannel>) {}

  postMessage(data: unknown): void {
    for (const other of this.all) if (other !== this) other.onmessage?.({ data: structuredClone(data) } as MessageEvent<unknown>);
  }

  close(): void {
    this.all.delete(this);
  }
}

const snapshot: Snapshot = { type: "snapshot", since: 1000, end: 2000, queries: {} };
const tick = (end: number): StreamEvent => ({ type: "tick", end, values: {}, groups: {}, amend: [] });

function tab(browser: Browser | null, lastId = 0) {
  const source = { start: vi.fn(), stop: vi.fn(), kick: vi.fn() };
  const seen: string[] = [];
  const links: string[] = [];
  const unauthorized = vi.fn();
  const shared = new SharedStream({
    key: "overview",
    source: source as unknown as StreamSource,
    lastId: () => lastId,
    snapshot: () => snapshot,
    onEvent: (event) => seen.push(event.type === "tick" ? `tick ${event.end}` : event.type),
    onLink: (link) => links.push(link),
    onUnauthorized: unauthorized,
    locks: browser?.locks,
    channel: browser?.channel,
  });
  return { shared, source, seen, links, unauthorized };
}

const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

describe("shared stream", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("opens one stream for all tabs, and hands a newcomer the state", async () => {
    const browser = new Browser();
    const first = tab(browser);
    first.shared.start();
    await settle();
    expect(first.source.start).toHaveBeenCalledWith(0);
    first.shared.publish({ type: "hello", version: 1, build: "b", serverTime: 10_000 });
    first.shared.publishLink("open");
    first.shared.publish(snapshot);

    vi.setSystemTime(Date.now() + 5_000);
    const second = tab(browser);
    second.shared.start();
    await settle();
    first.shared.publish(tick(3000));
    expect(second.source.start).not.toHaveBeenCalled();
    expect(second.seen).toEqual(["hello", "snapshot", "tick 3000"]);
    expect(second.links.at(-1)).toBe("open");
    expect(first.seen).toEqual(["hello", "snapshot", "tick 3000"]);
  });

  it("passes the stream on when the leading tab leaves, resuming from what the next one has", async () => {
    const browser = new Browser();
    const first = tab(browser);
    const second = tab(browser, 7000);
    first.shared.start();
    second.shared.start();
    await settle();
    first.shared.stop();
    await settle();
    expect(first.source.stop).toHaveBeenCalled();
    expect(second.source.start).toHaveBeenCalledWith(7000);
    expect(second.shared.leading).toBe(true);
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
    expect(third.source.start).toHaveBeenCalledOnce();
    expect(frozen.shared.leading).toBe(false);
    expect(frozen.source.stop).toHaveBeenCalled();
  });

  it("ignores ticks before it knows the state they change", async () => {
    const browser = new Browser();
    const first = tab(browser);
    first.shared.start();
    await settle();
    const second = tab(browser);
    const other = browser.channel();
    second.shared.start();
    other.postMessage({ kind: "state", to: "somebody else", hello: null, snapshot, link: "open" });
    expect(second.seen.filter((type) => type === "snapshot")).toHaveLength(1);
  });

  it("signs all tabs out together", async () => {
    const browser = new Browser();
    const first = tab(browser);
    const second = tab(browser);
    first.shared.start();
    second.shared.start();
    await settle();
    first.shared.publishUnauthorized();
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
