/** The hub's clock as far as the page knows it: set at each hello, run on by the browser's. */
export class ServerClock {
  #offsetMs = 0;
  readonly #local: () => number;

  constructor(local: () => number = Date.now) {
    this.#local = local;
  }

  set(serverTimeMs: number): void {
    this.#offsetMs = serverTimeMs - this.#local();
  }

  now(): number {
    return this.#local() + this.#offsetMs;
  }
}
