import { useEffect, useReducer, useRef } from "preact/hooks";

/** Holds one immutable state and tells its subscribers when it was replaced. */
export class Store<T extends object> {
  #state: T;
  readonly #subscribers = new Set<() => void>();

  constructor(state: T) {
    this.#state = state;
  }

  get(): T {
    return this.#state;
  }

  set(patch: Partial<T>): void {
    this.#state = { ...this.#state, ...patch };
    for (const notify of this.#subscribers) notify();
  }

  subscribe(notify: () => void): () => void {
    this.#subscribers.add(notify);
    return () => {
      this.#subscribers.delete(notify);
    };
  }
}

/** Renders again when what `select` picks is another value. */
export function useStore<T extends object, V>(store: Store<T>, select: (state: T) => V): V {
  const [, render] = useReducer((count: number) => count + 1, 0);
  const selected = select(store.get());
  const current = useRef({ select, selected });
  current.current = { select, selected };
  useEffect(() => {
    const check = (): void => {
      if (!Object.is(current.current.select(store.get()), current.current.selected)) render(undefined);
    };
    check();
    return store.subscribe(check);
  }, [store]);
  return selected;
}
