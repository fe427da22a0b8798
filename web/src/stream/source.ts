// One EventSource that never gives up. The browser's own reconnection is left alone where it works (it honours the hub's
// `retry` and sends Last-Event-ID); where it gives up, or fails twice, a jittered back-off takes over.
import { decodeEvent, streamEvents } from "../api/decode";
import type { StreamEvent } from "../api/types";
import { backoffMs } from "./backoff";
import type { Link } from "./freshness";

/** What the source needs of EventSource. */
export interface EventSourceLike {
  readonly readyState: number;
  onopen: ((event: Event) => unknown) | null;
  onerror: ((event: Event) => unknown) | null;
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
  close(): void;
}

export interface SourcePorts {
  readonly open: (url: string) => EventSourceLike;
  /** The address to open, resuming after the event with this id (0: from the start). */
  readonly url: (lastId: number) => string;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onLink: (link: Link) => void;
  /** The hub refused: asks whether the session is at fault. Resolves to true where only signing in helps. */
  readonly refused: () => Promise<boolean>;
  readonly onUnauthorized: () => void;
  /** The hub speaks a language this page does not know. */
  readonly onForeign: () => void;
  readonly random?: () => number;
}

const closedState = 2;
/** The hub sends at least a heartbeat each 15 s, which no script can see; so after this long without an event, look anew. */
const silenceMs = 45_000;
const endOfSession = new Set(["signed_out", "expired", "revoked"]);

export class StreamSource {
  readonly #ports: SourcePorts;
  readonly #random: () => number;
  #source: EventSourceLike | null = null;
  #running = false;
  #openedSinceError = false;
  #lost = false;
  #attempt = 0;
  #lastId = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(ports: SourcePorts) {
    this.#ports = ports;
    this.#random = ports.random ?? Math.random;
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

  /** Tries at once, if it is waiting: the network came back, or somebody looks. */
  kick(): void {
    if (!this.#running || !this.#lost) return;
    this.#attempt = 0;
    this.#open();
  }

  #drop(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    this.#source?.close();
    this.#source = null;
    this.#openedSinceError = false;
  }

  #open(): void {
    this.#drop();
    this.#lost = false;
    const source = this.#ports.open(this.#ports.url(this.#lastId));
    this.#source = source;
    source.onopen = () => {
      this.#openedSinceError = true;
      this.#lost = false;
    };
    source.onerror = () => {
      if (this.#source === source) this.#failed(source);
    };
    for (const type of streamEvents) {
      source.addEventListener(type, (event) => {
        if (this.#source === source) this.#receive(type, event);
      });
    }
    this.#watch();
  }

  #receive(type: (typeof streamEvents)[number], message: MessageEvent<string>): void {
    const event = this.#decode(type, message.data);
    if (event === null) return;
    this.#lastId = Math.max(this.#lastId, Number(message.lastEventId) || 0);
    this.#attempt = 0;
    this.#openedSinceError = true;
    this.#watch();
    if (event.type === "bye" && endOfSession.has(event.reason)) {
      this.stop();
      this.#ports.onUnauthorized();
      return;
    }
    if (event.type === "hello") this.#ports.onLink("open");
    this.#ports.onEvent(event);
  }

  #decode(type: (typeof streamEvents)[number], data: string): StreamEvent | null {
    try {
      return decodeEvent(type, JSON.parse(data));
    } catch {
      this.#ports.onForeign();
      return null;
    }
  }

  #failed(source: EventSourceLike): void {
    this.#lost = true;
    this.#ports.onLink("lost");
    const browserRetries = this.#openedSinceError && source.readyState !== closedState;
    this.#openedSinceError = false;
    if (browserRetries) return;
    const refused = source.readyState === closedState;
    this.#drop();
    if (refused) void this.#askWhy();
    else this.#later();
  }

  /** EventSource tells nobody the status of a refusal, so another request has to find out. */
  async #askWhy(): Promise<void> {
    const unauthorized = await this.#ports.refused();
    if (!this.#running || this.#source !== null) return;
    if (unauthorized) {
      this.stop();
      this.#ports.onUnauthorized();
      return;
    }
    this.#later();
  }

  #later(): void {
    this.#retry = setTimeout(() => {
      this.#open();
    }, backoffMs(this.#attempt++, this.#random()));
  }

  #watch(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#ports.onLink("lost");
      this.#open();
    }, silenceMs);
  }
}
