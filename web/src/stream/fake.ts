// Stands in for a browser's locks and channels, for tests: several tabs in one process.

/** One lock of a browser, with those who wait for it. */
class FakeLock {
  #holder: { readonly rob: () => void } | null = null;
  readonly #queue: { readonly grant: () => void }[] = [];

  request(wire: Wire, options: LockOptions, hold: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const grant = (): void => {
        const holder = {
          rob: () => {
            wire.deliver(() => {
              reject(new Error("stolen"));
            });
          },
        };
        this.#holder = holder;
        void hold().then(() => {
          if (this.#holder === holder) {
            this.#holder = null;
            this.#queue.shift()?.grant();
          }
          resolve();
        });
      };
      if (options.steal === true) {
        this.#holder?.rob();
        grant();
      } else if (this.#holder === null) grant();
      else {
        const waiting = { grant };
        this.#queue.push(waiting);
        options.signal?.addEventListener("abort", () => {
          const at = this.#queue.indexOf(waiting);
          if (at >= 0) this.#queue.splice(at, 1);
          reject(new Error("aborted"));
        });
      }
    });
  }
}

class FakeChannel {
  onmessage: ((message: MessageEvent<unknown>) => void) | null = null;

  constructor(
    readonly all: Set<FakeChannel>,
    readonly wire: Wire,
  ) {
    all.add(this);
  }

  postMessage(data: unknown): void {
    const copy = structuredClone(data);
    for (const other of this.all) {
      if (other === this) continue;
      other.wire.deliver(() => {
        queueMicrotask(() => other.onmessage?.({ data: copy } as MessageEvent<unknown>));
      });
    }
  }

  close(): void {
    this.all.delete(this);
  }
}

/** What all tabs of one browser have in common. */
export class Browser {
  readonly channels = new Map<string, Set<FakeChannel>>();
  readonly locks = new Map<string, FakeLock>();
}

/** What one tab hears of its browser: at once, later (frozen) or never (lost). */
export class Wire {
  mode: "open" | "frozen" | "lost" = "open";
  readonly #held: (() => void)[] = [];

  constructor(readonly browser: Browser) {}

  readonly channel = (name: string): BroadcastChannel => {
    const all = this.browser.channels.get(name) ?? new Set();
    this.browser.channels.set(name, all);
    return new FakeChannel(all, this) as unknown as BroadcastChannel;
  };

  readonly locks = {
    request: (name: string, options: LockOptions, hold: () => Promise<void>): Promise<void> => {
      const lock = this.browser.locks.get(name) ?? new FakeLock();
      this.browser.locks.set(name, lock);
      return lock.request(this, options, hold);
    },
  } as unknown as LockManager;

  deliver(what: () => void): void {
    if (this.mode === "open") what();
    else if (this.mode === "frozen") this.#held.push(what);
  }

  thaw(): void {
    this.mode = "open";
    for (const what of this.#held.splice(0)) what();
  }
}
