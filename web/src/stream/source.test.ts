import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { StreamEvent } from "../api/types";
import { StreamSource } from "./source";

/** One request for the stream: the test plays the hub. */
class Peer {
  #answer: (response: Response) => void = () => undefined;
  #refuse: (error: Error) => void = () => undefined;
  #body: ReadableStreamDefaultController<Uint8Array> | null = null;
  readonly response: Promise<Response>;

  constructor(
    readonly lastId: number,
    readonly signal: AbortSignal,
  ) {
    this.response = new Promise((resolve, reject) => {
      this.#answer = resolve;
      this.#refuse = reject;
    });
  }

  async open(text = ""): Promise<void> {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller;
      },
    });
    this.#answer(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
    await this.write(text);
  }

  async answer(status: number, headers: Record<string, string> = {}): Promise<void> {
    this.#answer(new Response("{}", { status, headers: { "Content-Type": "application/json", ...headers } }));
    await settle();
  }

  async unreachable(): Promise<void> {
    this.#refuse(new TypeError("failed to fetch"));
    await settle();
  }

  async write(text: string): Promise<void> {
    this.#body?.enqueue(new TextEncoder().encode(text));
    await settle();
  }

  async end(): Promise<void> {
    this.#body?.close();
    await settle();
  }

  async cut(): Promise<void> {
    this.#body?.error(new TypeError("network error"));
    await settle();
  }
}

const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);
const hello = 'retry: 2200\nevent: hello\ndata: {"version":1,"build":"b","server_time":1,"dashboard":"overview","step_ms":1000}\n\n';
const tick = (end: number): string => `id: ${end}\nevent: tick\ndata: {"end":${end},"values":{"cpu":[1]}}\n\n`;

function setUp() {
  const peers: Peer[] = [];
  const events: StreamEvent["type"][] = [];
  const links: string[] = [];
  const unauthorized = vi.fn();
  const foreign = vi.fn();
  const source = new StreamSource({
    open: (lastId, signal) => {
      const peer = new Peer(lastId, signal);
      peers.push(peer);
      return peer.response;
    },
    onEvent: (event) => events.push(event.type),
    onLink: (link) => links.push(link),
    onUnauthorized: unauthorized,
    onForeign: foreign,
    random: () => 0.5,
    clocks: { wall: () => Date.now(), steady: () => 0 },
  });
  const newest = (): Peer => {
    const peer = peers.at(-1);
    if (peer === undefined) throw new Error("no stream was opened");
    return peer;
  };
  /** How long it takes until the next request. */
  const wait = async (): Promise<number> => {
    const before = peers.length;
    let waited = 0;
    while (peers.length === before && waited < 400_000) {
      await vi.advanceTimersByTimeAsync(50);
      waited += 50;
    }
    return waited;
  };
  return { source, peers, newest, events, links, unauthorized, foreign, wait };
}

describe("stream source", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("is open from the hello on, not from the answer alone", async () => {
    const { source, newest, events, links } = setUp();
    source.start(0);
    await newest().open(": welcome\n\n");
    expect(links).toEqual([]);
    await newest().write(hello + tick(5000));
    expect(links).toEqual(["open"]);
    expect(events).toEqual(["hello", "tick"]);
  });

  it("comes back when the hub said, after the last id it heard of, be it a heartbeat's", async () => {
    const { source, newest, links, wait } = setUp();
    source.start(1000);
    expect(newest().lastId).toBe(1000);
    await newest().open(hello + tick(7000) + "id: 9000\n\n");
    await newest().end();
    expect(links.at(-1)).toBe("lost");
    expect(await wait()).toBe(2200);
    expect(newest().lastId).toBe(9000);
  });

  it("keeps to a longer wait when the hub stops or is full", async () => {
    const { source, newest, wait } = setUp();
    source.start(0);
    await newest().open(hello + 'retry: 41000\nevent: bye\ndata: {"reason":"shutdown"}\n\n');
    await newest().end();
    expect(await wait()).toBe(41_000);
    await newest().open(": refused for now: viewers\nretry: 12350\n\n");
    await newest().end();
    expect(await wait()).toBe(12_350);
    await newest().answer(503, { "Retry-After": "7" });
    expect(await wait()).toBe(7_000);
  });

  it("waits longer after each failure, for ever, and begins anew once it was open", async () => {
    const { source, newest, wait } = setUp();
    source.start(1000);
    const waits: number[] = [];
    for (let i = 0; i < 40; i++) {
      if (i % 3 === 0) await newest().unreachable();
      else if (i % 3 === 1) await newest().answer(502);
      else await newest().answer(200);
      waits.push(await wait());
    }
    expect(waits.slice(0, 7)).toEqual([750, 1500, 3000, 6000, 12_000, 22_500, 22_500]);
    expect(Math.max(...waits)).toBe(22_500);
    await newest().open(hello.replace(/retry.*\n/, ""));
    await newest().cut();
    expect(await wait()).toBe(750);
  });

  it.each([401, 403])("goes to the sign-in on %i and asks no more", async (status) => {
    const { source, peers, newest, unauthorized } = setUp();
    source.start(0);
    await newest().answer(status);
    await vi.advanceTimersByTimeAsync(400_000);
    expect(unauthorized).toHaveBeenCalledOnce();
    expect(peers).toHaveLength(1);
  });

  it("ends with the session, in mid-flight", async () => {
    const { source, peers, newest, unauthorized, events } = setUp();
    source.start(0);
    await newest().open(hello + 'event: bye\ndata: {"reason":"revoked"}\n\n' + tick(9000));
    expect(unauthorized).toHaveBeenCalledOnce();
    expect(events).toEqual(["hello"]);
    expect(newest().signal.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(400_000);
    expect(peers).toHaveLength(1);
  });

  it("tries at once when kicked while it waits, and leaves a stream alone that lives", async () => {
    const { source, peers, newest } = setUp();
    source.start(0);
    source.kick();
    await newest().unreachable();
    source.kick();
    expect(peers).toHaveLength(2);
    await newest().open(hello);
    await vi.advanceTimersByTimeAsync(2_000);
    source.kick();
    expect(peers).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(2_000);
    source.kick();
    expect(peers).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(peers).toHaveLength(3);
  });

  it("takes heartbeats for a life sign, and silence for the end", async () => {
    const { source, peers, newest, links } = setUp();
    source.start(0);
    await newest().open(hello);
    for (let i = 0; i < 40; i++) {
      await vi.advanceTimersByTimeAsync(15_000);
      await newest().write("id: 1000\n\n");
    }
    expect(peers).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(peers).toHaveLength(2);
    expect(peers[0]?.signal.aborted).toBe(true);
    expect(links).toEqual(["open", "lost"]);
  });

  it("notices after a sleep that stopped its timers", async () => {
    const { source, peers, newest } = setUp();
    source.start(0);
    await newest().open(hello);
    await vi.advanceTimersByTimeAsync(1_000);
    vi.setSystemTime(Date.now() + 8 * 3_600_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(peers).toHaveLength(2);
  });

  it("gives up an answer that does not come", async () => {
    const { source, peers } = setUp();
    source.start(0);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(peers).toHaveLength(2);
    expect(peers[0]?.signal.aborted).toBe(true);
  });

  it("says when it does not understand the hub, and ignores what it does not know", async () => {
    const { source, newest, foreign, events } = setUp();
    source.start(0);
    await newest().open(hello + "event: news\ndata: {}\n\n");
    expect(foreign).not.toHaveBeenCalled();
    await newest().write('event: tick\ndata: {"end":"soon"}\n\n');
    expect(foreign).toHaveBeenCalledOnce();
    expect(events).toEqual(["hello"]);
  });

  it("hears nothing of a stream it has closed", async () => {
    const { source, peers, newest, events } = setUp();
    source.start(0);
    await newest().open();
    source.stop();
    await newest().write(hello);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(events).toEqual([]);
    expect(peers).toHaveLength(1);
  });
});
