/** Runs an asynchronous task now and then, one at a time, and only while the page is shown. */
export class Repeater {
  readonly #everyMs: number;
  readonly #task: () => Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #busy = false;
  #running = false;

  constructor(everyMs: number, task: () => Promise<void>) {
    this.#everyMs = everyMs;
    this.#task = task;
  }

  start(): void {
    this.#running = true;
    document.addEventListener("visibilitychange", this.#shown);
    this.now();
  }

  stop(): void {
    this.#running = false;
    document.removeEventListener("visibilitychange", this.#shown);
    clearTimeout(this.#timer);
  }

  /** Runs the task at once; the next run follows a whole interval later. */
  now(): void {
    if (!this.#running || this.#busy) return;
    clearTimeout(this.#timer);
    this.#busy = true;
    void this.#task().finally(() => {
      this.#busy = false;
      if (!this.#running || document.visibilityState !== "visible") return;
      this.#timer = setTimeout(() => {
        this.now();
      }, this.#everyMs);
    });
  }

  readonly #shown = (): void => {
    if (document.visibilityState === "visible") this.now();
    else clearTimeout(this.#timer);
  };
}
