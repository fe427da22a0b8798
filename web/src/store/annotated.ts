// What has happened in the range shown: from the hub's list now and then, and from the stream at once.
import { fetchAnnotations, fetchSession } from "../api/hub";
import { HttpError } from "../api/http";
import type { Annotation } from "../api/types";
import { Repeater } from "../lib/repeater";
import type { Store } from "../lib/store";
import { mergeAnnotations } from "../select/annotations";
import type { ServerClock } from "../stream/clock";
import type { BoardState } from "./state";

export interface AnnotatedPorts {
  readonly store: Store<BoardState>;
  readonly clock: ServerClock;
  readonly onUnauthorized: () => void;
}

const everyMs = 30_000;
const recorders = ["admin", "analyst"];

export class Annotated {
  readonly #ports: AnnotatedPorts;
  readonly #list: Repeater;
  #stopped = false;

  constructor(ports: AnnotatedPorts) {
    this.#ports = ports;
    this.#list = new Repeater(everyMs, () => this.#load());
  }

  /** The dashboard's definition must be known. */
  start(): void {
    this.#list.start();
    void this.#loadRole();
  }

  stop(): void {
    this.#stopped = true;
    this.#list.stop();
  }

  /** Asks for what the stream may have missed. */
  now(): void {
    this.#list.now();
  }

  hear(heard: readonly Annotation[]): void {
    const { store } = this.#ports;
    const { annotations: known } = store.get();
    const annotations = mergeAnnotations(known, heard, this.#from);
    if (annotations !== known) store.set({ annotations });
  }

  /** A paused page shows what lies further back. */
  get #from(): number {
    const { store, clock } = this.#ports;
    return Math.floor(clock.now() - 2 * (store.get().dashboard?.rangeMs ?? 0));
  }

  async #load(): Promise<void> {
    try {
      const annotations = await fetchAnnotations(this.#from);
      if (!this.#stopped) this.hear(annotations);
    } catch (error) {
      if (error instanceof HttpError && error.unauthorized && !this.#stopped) this.#ports.onUnauthorized();
      // What is known has happened all the same; the next round asks again.
    }
  }

  /** Who may not record is not offered to; where the hub does not say, nobody is. */
  async #loadRole(): Promise<void> {
    const session = await fetchSession().catch(() => null);
    if (!this.#stopped) this.#ports.store.set({ annotates: session !== null && recorders.includes(session.role) });
  }
}
