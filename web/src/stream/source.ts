// One event stream that never gives up. It is read with fetch and not with EventSource, which hides three things from a
// page: the heartbeats, by which a dead connection is told from a quiet one; the status of a refusal; and the ids that
// come without an event.
import { decodeEvent, streamEvents } from "../api/decode";
import type { StreamEvent } from "../api/types";
import { backoffMs } from "./backoff";
import type { Link } from "./freshness";
import { EventStreamParser, type Block } from "./sse";
import { Stopwatch, type Clocks } from "./stopwatch";

export interface SourcePorts {
  /** Opens the stream, resuming after the event with this id (0: from the start). */
  readonly open: (lastId: number, signal: AbortSignal) => Promise<Response>;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onLink: (link: Link) => void;
  /** The session is over, or may not see this: only signing in helps. */
  readonly onUnauthorized: () => void;
  /** The hub speaks a language this page does not know. */
  readonly onForeign: () => void;
  readonly random?: () => number;
  readonly clocks?: Clocks;
}

/** The hub sends something at least every 15 s; after this long without a byte the connection is dead. */
const silenceMs = 20_000;
/** Looked at by the clock, for timers stand still while the machine sleeps. */
const lookEveryMs = 2_000;
/** Where somebody looks, or the network came back, silence is not waited for that long. */
const kickSilenceMs = 3_000;
const maxRetryMs = 300_000;
const endOfSession = new Set(["signed_out", "expired", "revoked"]);

type TypeName = (typeof streamEvents)[number];
const isKnown = (type: string): type is TypeName => (streamEvents as readonly string[]).includes(type);

export class StreamSource {
  readonly #ports: SourcePorts;
  readonly #random: () => number;
  readonly #heard: Stopwatch;
  #abort: AbortController | null = null;
  #running = false;
  #attempt = 0;
  #lastId = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;

  constructor(ports: SourcePorts) {
    this.#ports = ports;
    this.#random = ports.random ?? Math.random;
    this.#heard = new Stopwatch(ports.clocks);
  }

  /** Opens the stream after the window `lastId`; does nothing where it runs already. */
  start(lastId: number): void {
    if (this.#running) return;
    this.#running = true;
    this.#lastId = lastId;
    this.#attempt = 0;
    this.#open();
  }

  stop(): void {
    this.#running = false;
    this.#drop();
  }

  /** Tries at once, if it waits or hears nothing: the network came back, or somebody looks. */
  kick(): void {
    if (!this.#running || (this.#abort !== null && this.#heard.ms < kickSilenceMs)) return;
    this.#attempt = 0;
    this.#open();
  }

  #drop(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    this.#abort?.abort();
    this.#abort = null;
  }

  #open(): void {
    this.#drop();
    const abort = new AbortController();
    this.#abort = abort;
    this.#heard.restart();
    this.#watch = setInterval(() => {
      if (this.#heard.ms > silenceMs) this.#ended(null);
    }, lookEveryMs);
    void this.#listen(abort.signal).then((retryMs) => {
      if (!abort.signal.aborted) this.#ended(retryMs);
    });
  }

  /** Reads the stream to its end, whatever ends it; resolves to the wait the hub asked for, or null. */
  async #listen(signal: AbortSignal): Promise<number | null> {
    const over = (): boolean => signal.aborted;
    // Refused, cut off or aborted: all that can be done is to come back.
    const response = await this.#ports.open(this.#lastId, signal).catch(() => null);
    if (response === null || over()) return null;
    if (response.status === 401 || response.status === 403) {
      this.#signedOut();
      return null;
    }
    const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream") === true;
    if (!response.ok || !isStream || response.body === null) return retryAfterMs(response);
    const reader = response.body.getReader();
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    let retryMs: number | null = null;
    for (;;) {
      const piece = await reader.read().catch(() => null);
      if (piece === null || piece.done || over()) return retryMs;
      this.#heard.restart();
      for (const block of parser.push(decoder.decode(piece.value, { stream: true }))) {
        retryMs = block.retryMs ?? retryMs;
        this.#receive(block);
        // What it said may have ended this stream.
        if (over()) return null;
      }
    }
  }

  #receive(block: Block): void {
    this.#lastId = Math.max(this.#lastId, Number(block.id) || 0);
    const event = this.#decode(block);
    if (event === null) return;
    if (event.type === "bye" && endOfSession.has(event.reason)) {
      this.#signedOut();
      return;
    }
    if (event.type === "hello") {
      this.#attempt = 0;
      this.#ports.onLink("open");
    }
    this.#ports.onEvent(event);
  }

  #decode({ event, data }: Block): StreamEvent | null {
    if (data === null || !isKnown(event)) return null;
    try {
      return decodeEvent(event, JSON.parse(data));
    } catch {
      this.#ports.onForeign();
      return null;
    }
  }

  #signedOut(): void {
    this.stop();
    this.#ports.onUnauthorized();
  }

  /** Comes back when the hub said, and where it said nothing later each time. */
  #ended(retryMs: number | null): void {
    this.#drop();
    this.#ports.onLink("lost");
    const waitMs = retryMs === null ? backoffMs(this.#attempt++, this.#random()) : Math.min(retryMs, maxRetryMs);
    this.#retry = setTimeout(() => {
      this.#open();
    }, waitMs);
  }
}

function retryAfterMs(response: Response): number | null {
  const seconds = Number(response.headers.get("Retry-After"));
  return seconds > 0 ? seconds * 1000 : null;
}
