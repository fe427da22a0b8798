export interface Clocks {
  /** Time of day, in ms. It can be set, back as well as forth. */
  readonly wall: () => number;
  /** Ms since some moment. It never goes back, and on some machines stands still while they sleep. */
  readonly steady: () => number;
}

export const ownClocks: Clocks = { wall: () => Date.now(), steady: () => performance.now() };

/** Time since a moment, by the clock that went further: too long is safe, for it is the age of what is shown. */
export class Stopwatch {
  readonly #clocks: Clocks;
  #wall = 0;
  #steady = 0;

  constructor(clocks: Clocks = ownClocks) {
    this.#clocks = clocks;
    this.restart();
  }

  restart(): void {
    this.#wall = this.#clocks.wall();
    this.#steady = this.#clocks.steady();
  }

  get ms(): number {
    return Math.max(this.#clocks.wall() - this.#wall, this.#clocks.steady() - this.#steady);
  }
}
