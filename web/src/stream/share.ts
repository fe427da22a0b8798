// One stream per browser: the tabs that show the same dashboard elect a leader by a Web Lock; it alone holds the
// stream and passes every event on over a BroadcastChannel. Without either, each tab opens its own.
import type { Hello, Snapshot, StreamEvent } from "../api/types";
import type { Link } from "./freshness";
import type { StreamSource } from "./source";

/** What a leader says. `term` grows with each leader, so that nobody listens to one that was replaced while it was frozen. */
type Told = { readonly term: number } & (
  | { readonly kind: "state"; readonly to: string; readonly hello: Hello | null; readonly snapshot: Snapshot | null; readonly link: Link }
  /** `after` is the leader's last window before this event: who has another one has missed something. */
  | { readonly kind: "event"; readonly event: StreamEvent; readonly after: number; readonly at: number }
  | { readonly kind: "link"; readonly link: Link }
);
type Message = Told | { readonly kind: "join"; readonly from: string } | { readonly kind: "unauthorized" };

export interface SharePorts {
  /** Names the stream: tabs with the same key share one. */
  readonly key: string;
  readonly source: StreamSource;
  /** End of the newest window that the stream gave to this tab, or 0. */
  readonly lastId: () => number;
  /** The newest windows up to `lastId`, or null where there are none. */
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
  #term = 0;
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
    this.#channel = this.#ports.channel(`telltale-stream:${this.#ports.key}`);
    this.#channel.onmessage = (message: MessageEvent<Message>) => {
      this.#hear(message.data);
    };
    this.#follow();
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
    this.#setLink("opening");
  }

  kick(): void {
    this.#ports.source.kick();
  }

  /** The source of the leader (or of a tab that shares with nobody) has an event. */
  publish(event: StreamEvent): void {
    if (event.type === "hello") this.#hello = { event, at: this.#now() };
    this.#say({ kind: "event", term: this.#term, event, after: this.#ports.lastId(), at: this.#now() });
    this.#ports.onEvent(event);
  }

  publishLink(link: Link): void {
    this.#say({ kind: "link", term: this.#term, link });
    this.#setLink(link);
  }

  publishUnauthorized(): void {
    this.#say({ kind: "unauthorized" });
    this.#ports.onUnauthorized();
  }

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }

  #setLink(link: Link): void {
    this.#link = link;
    this.#ports.onLink(link);
  }

  /** Listens to whoever leads, and stands by to lead. */
  #follow(): void {
    this.#join();
    this.#elect(false);
    this.#watch();
  }

  #join(): void {
    this.#joined = false;
    this.#say({ kind: "join", from: this.#id });
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
      if (term.release !== null && this.#release === term.release && this.#running) this.#abdicate();
    });
  }

  #lead(): void {
    clearTimeout(this.#watchdog);
    // By the clock, for who leads next may never have heard of the leader before.
    this.#term = Math.max(this.#term + 1, this.#now());
    this.#ports.source.start(this.#ports.lastId());
    const beat = (): void => {
      this.#say({ kind: "link", term: this.#term, link: this.#link });
    };
    beat();
    this.#beat = setInterval(beat, beatMs);
  }

  /** Another tab leads: what this one's stream still brings is old, and what the other said meanwhile was not heard. */
  #abdicate(): void {
    this.#release?.();
    this.#release = null;
    clearInterval(this.#beat);
    this.#ports.source.stop();
    this.#follow();
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
    if (message.kind === "join") {
      if (this.leading) this.#answer(message.from);
      return;
    }
    if (message.term < this.#term) return;
    if (this.leading) this.#abdicate();
    this.#term = message.term;
    this.#watch();
    this.#obey(message);
  }

  #answer(to: string): void {
    const hello = this.#hello === null ? null : aged(this.#hello.event, this.#now() - this.#hello.at);
    this.#say({ kind: "state", term: this.#term, to, hello, snapshot: this.#ports.snapshot(), link: this.#link });
  }

  #obey(message: Told): void {
    switch (message.kind) {
      case "link":
        this.#setLink(message.link);
        return;
      case "state":
        if (message.to !== this.#id) return;
        if (message.hello !== null) this.#take(message.hello);
        if (message.snapshot !== null) this.#take(message.snapshot);
        this.#setLink(message.link);
        return;
      case "event":
        if (message.event.type === "hello") this.#take(aged(message.event, this.#now() - message.at));
        else if (message.event.type !== "tick") this.#take(message.event);
        else if (message.event.end > this.#ports.lastId()) {
          // A tick changes the state just before it. Who does not have that asks for the whole.
          if (this.#joined && message.after === this.#ports.lastId()) this.#take(message.event);
          else this.#join();
        }
    }
  }

  #take(event: StreamEvent): void {
    if (event.type === "hello") this.#hello = { event, at: this.#now() };
    if (event.type === "snapshot") this.#joined = true;
    this.#ports.onEvent(event);
  }
}

/** A hello tells the hub's time; told on later, it tells a later time. */
function aged(hello: Hello, byMs: number): Hello {
  return { ...hello, serverTime: hello.serverTime + Math.max(0, byMs) };
}
