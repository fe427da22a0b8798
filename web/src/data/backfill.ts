// Fills from history what the stream did not give: everything at load, the missed windows after a gap or a long sleep.
// What agents still hold in their spools arrives late, so a gap is asked for again a few times.
import { HttpError } from "../api/http";
import type { History } from "../api/types";
import { backoffMs } from "../stream/backoff";
import { applyHistory } from "./apply";
import type { Grid } from "./grid";

export type BackfillState =
  | { readonly kind: "idle" }
  | { readonly kind: "loading" }
  | { readonly kind: "error"; readonly message: string };

export interface Range {
  readonly first: number;
  readonly last: number;
}

const againAfterMs = [3_000, 15_000, 60_000];

/** The span of unknown windows within a range, leaving out what is older than the oldest known window: no data was there yet. */
export function holes(grid: Grid, range: Range): Range | null {
  const { stepMs } = grid;
  let oldest = Math.max(range.first, grid.oldest);
  let reached = false;
  for (let end = grid.oldest; end <= oldest && !reached; end += stepMs) reached = grid.known(end);
  while (!reached && oldest < range.last && !(reached = grid.known(oldest))) oldest += stepMs;
  let first = 0;
  let last = 0;
  for (let end = oldest; end <= Math.min(range.last, grid.end); end += stepMs) {
    if (grid.known(end)) continue;
    first = first === 0 ? end : first;
    last = end;
  }
  return first === 0 ? null : { first, last };
}

export function union(a: Range | null, b: Range): Range {
  return a === null ? b : { first: Math.min(a.first, b.first), last: Math.max(a.last, b.last) };
}

export interface BackfillPorts {
  readonly grid: Grid;
  /** Asks history for the windows first..last, inclusive. */
  readonly ask: (range: Range) => Promise<History>;
  readonly onChange: (state: BackfillState) => void;
  readonly onUnauthorized: () => void;
  readonly random?: () => number;
}

export class Backfill {
  readonly #ports: BackfillPorts;
  readonly #random: () => number;
  #wanted: Range | null = null;
  /** Part of the range that is asked for again even where it holds values: only some agents may have caught up. */
  #gap: Range | null = null;
  #attempt = 0;
  #failures = 0;
  #busy = false;
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ports: BackfillPorts) {
    this.#ports = ports;
    this.#random = ports.random ?? Math.random;
  }

  /** Asks for a range. `gap` says that what comes at first may be incomplete. */
  request(range: Range, gap: boolean): void {
    this.#wanted = union(this.#wanted, range);
    if (gap) this.#gap = union(this.#gap, range);
    this.#attempt = 0;
    this.#schedule(0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#run(), delayMs);
  }

  async #run(): Promise<void> {
    const range = this.#wanted;
    if (range === null || this.#busy) return;
    this.#busy = true;
    this.#wanted = null;
    if (this.#attempt === 0) this.#ports.onChange({ kind: "loading" });
    try {
      const history = await this.#ports.ask(range);
      if (this.#stopped) return;
      applyHistory(this.#ports.grid, history);
      this.#failures = 0;
      this.#ports.onChange({ kind: "idle" });
      this.#again(range);
    } catch (error) {
      if (!this.#stopped) this.#failed(range, error);
    } finally {
      this.#busy = false;
    }
  }

  /** Plans the next request after an answer: for what is still unknown, and for all of a gap. */
  #again(range: Range): void {
    if (this.#wanted !== null) {
      this.#schedule(0);
      return;
    }
    const delayMs = againAfterMs[this.#attempt++];
    const unknown = holes(this.#ports.grid, range);
    const next = this.#gap !== null && unknown !== null ? union(this.#gap, unknown) : (this.#gap ?? unknown);
    if (delayMs === undefined || next === null) {
      this.#gap = null;
      return;
    }
    this.#wanted = next;
    this.#schedule(delayMs * (0.8 + 0.4 * this.#random()));
  }

  #failed(range: Range, error: unknown): void {
    if (error instanceof HttpError && error.unauthorized) {
      this.#ports.onUnauthorized();
      return;
    }
    this.#ports.onChange({ kind: "error", message: error instanceof Error ? error.message : String(error) });
    if (error instanceof HttpError && !error.passing) return;
    this.#wanted = union(this.#wanted, range);
    this.#schedule(backoffMs(this.#failures++, this.#random()));
  }
}
