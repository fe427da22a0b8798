// One stream per browser: the tabs that show the same dashboard elect a leader by a Web Lock; it alone holds the
// EventSource and passes every event on over a BroadcastChannel. Without either, each tab opens its own.
import type { Hello, Snapshot, StreamEvent } from "../api/types";
import type { Link } from "./freshness";
import type { StreamSource } from "./source";

/** What tabs say to each other. */
type Message =
  | { readonly kind: "join"; readonly from: string }
  | { readonly kind: "state"; readonly to: string; readonly hello: Hello | null; readonly snapshot: Snapshot | null; readonly link: Link }
  | { readonly kind: "event"; readonly event: StreamEvent; readonly at: number }
  | { readonly kind: "link"; readonly link: Link }
  | { readonly kind: "unauthorized" };

export interface SharePorts {
  /** Names the stream: tabs with the same key share one. */
  readonly key: string;
  readonly source: StreamSource;
  readonly lastId: () => number;
  readonly snapshot: () => Snapshot | null;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onLink: (link: Link) => void;
  readonly onUnauthorized: () => void;
  readonly locks: LockManager | undefined;
  readonly channel: ((name: string) => BroadcastChannel) | undefined;
  readonly now?: () => number;
}

const beatMs = 5_000;
/** A leader that says nothing for this long is frozen or broken: take its place. */
const leaderSilenceMs = 14_000;

export class SharedStream {
  readonly #ports: SharePorts;
  readonly #id = Math.random().toString(36).slice(2);
  readonly #now: () => number;
  #channel: BroadcastChannel | null = null;
  #release: (() => void) | null = null;
  #waiting: AbortController | null = null;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #running = false;
  #joined = false;
  #hello: { readonly event: Hello; readonly at: number } | null = null;
  #link: Link = "opening";

  constructor(ports: SharePorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
  }

  get leading(): boolean {
    return this.#release !== null;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    if (this.#ports.locks === undefined || this.#ports.channel === undefined) {
      this.#ports.source.start(this.#ports.lastId());
      return;
    }
    this.#joined = false;
    this.#channel = this.#ports.channel(`telltale-stream:${this.#ports.key}`);
    this.#channel.onmessage = (message: MessageEvent<Message>) => {
      this.#hear(message.data);
    };
    this.#say({ kind: "join", from: this.#id });
    this.#elect(false);
    this.#watch();
  }

  stop(): void {
    this.#running = false;
    this.#ports.source.stop();
    clearTimeout(this.#watchdog);
    clearInterval(this.#beat);
    this.#waiting?.abort();
    this.#release?.();
    this.#release = null;
    this.#channel?.close();
    this.#channel = null;
    this.#link = "opening";
    this.#ports.onLink("opening");
  }

  kick(): void {
    this.#ports.source.kick();
  }

  /** The source of the leader (or of a tab that shares with nobody) has an event. */
  publish(event: StreamEvent): void {
    if (event.type === "hello") this.#hello = { event, at: this.#now() };
    if (this.#channel !== null) this.#say({ kind: "event", event, at: this.#now() });
    this.#ports.onEvent(event);
  }

  publishLink(link: Link): void {
    this.#link = link;
    if (this.#channel !== null) this.#say({ kind: "link", link });
    this.#ports.onLink(link);
  }

  publishUnauthorized(): void {
    if (this.#channel !== null) this.#say({ kind: "unauthorized" });
    this.#ports.onUnauthorized();
  }

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }

  /** Waits for the lock (or takes it from a silent leader) and leads until stopped or robbed. */
  #elect(steal: boolean): void {
    const locks = this.#ports.locks;
    if (locks === undefined) return;
    this.#waiting?.abort();
    const waiting = new AbortController();
    this.#waiting = waiting;
    const options: LockOptions = steal ? { steal: true } : { signal: waiting.signal };
    const term: { release: (() => void) | null } = { release: null };
    const lead = (): Promise<void> => {
      if (!this.#running || this.#waiting !== waiting) return Promise.resolve();
      return new Promise((resolve) => {
        term.release = resolve;
        this.#release = resolve;
        this.#lead();
      });
    };
    locks.request(`telltale-stream:${this.#ports.key}`, options, lead).catch(() => {
      // Either this tab gave up waiting, or another tab took the lock from it.
      if (term.release === null || this.#release !== term.release || !this.#running) return;
      this.#release = null;
      clearInterval(this.#beat);
      this.#ports.source.stop();
      this.#elect(false);
      this.#watch();
    });
  }

  #lead(): void {
    clearTimeout(this.#watchdog);
    this.#ports.source.start(this.#ports.lastId());
    this.#beat = setInterval(() => {
      this.#say({ kind: "link", link: this.#link });
    }, beatMs);
  }

  #watch(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      this.#elect(true);
    }, leaderSilenceMs);
  }

  #hear(message: Message): void {
    if (message.kind === "unauthorized") {
      this.#ports.onUnauthorized();
      return;
    }
    if (this.leading) {
      if (message.kind === "join") this.#answer(message.from);
      return;
    }
    if (message.kind === "join") return;
    this.#watch();
    this.#follow(message);
  }

  #answer(to: string): void {
    const hello = this.#hello === null ? null : this.#aged(this.#hello.event, this.#hello.at);
    this.#say({ kind: "state", to, hello, snapshot: this.#ports.snapshot(), link: this.#link });
  }

  /** A hello tells the hub's time; told on later, it tells a later time. */
  #aged(hello: Hello, at: number): Hello {
    return { ...hello, serverTime: hello.serverTime + (this.#now() - at) };
  }

  #follow(message: Exclude<Message, { kind: "join" | "unauthorized" }>): void {
    if (message.kind === "link") {
      this.#link = message.link;
      this.#ports.onLink(message.link);
      return;
    }
    if (message.kind === "state") {
      if (message.to !== this.#id) return;
      this.#joined = true;
      this.#link = message.link;
      if (message.hello !== null) this.#ports.onEvent(message.hello);
      if (message.snapshot !== null) this.#ports.onEvent(message.snapshot);
      this.#ports.onLink(message.link);
      return;
    }
    // Before the leader's state has come, a tick would leave a hole before it; a snapshot stands on its own.
    if (message.event.type === "snapshot") this.#joined = true;
    if (!this.#joined && message.event.type === "tick") return;
    if (message.event.type === "hello") this.#hello = { event: message.event, at: message.at };
    this.#ports.onEvent(message.event);
  }
}
