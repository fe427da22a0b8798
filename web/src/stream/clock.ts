import { ownClocks, Stopwatch, type Clocks } from "./stopwatch";

/** The hub's clock as far as the page knows it: set at each hello, run on by the browser's. */
export class ServerClock {
  readonly #since: Stopwatch;
  #serverTimeMs: number;

  constructor(clocks: Clocks = ownClocks) {
    this.#since = new Stopwatch(clocks);
    this.#serverTimeMs = clocks.wall();
  }

  set(serverTimeMs: number): void {
    this.#serverTimeMs = serverTimeMs;
    this.#since.restart();
  }

  /** A window that has closed at the hub is in its past, whatever this clock says. */
  atLeast(serverTimeMs: number): void {
    if (this.now() < serverTimeMs) this.set(serverTimeMs);
  }

  now(): number {
    return this.#serverTimeMs + this.#since.ms;
  }
}
