// What the windows on screen are compared with, as the stream gives it. Each value is kept under the end of the window that is
// compared, not of the one it is of: so the page needs no calendar.
import type { Past, Row, Shift } from "../api/types";

export class PastValues {
  readonly #stepMs: number;
  readonly #depth: number;
  /** By shift and query, the values by window, oldest first. */
  readonly #rows = new Map<Shift, Map<string, Map<number, number>>>();

  constructor(stepMs: number, depth: number) {
    this.#stepMs = stepMs;
    this.#depth = depth;
  }

  put(past: Past | null | undefined): void {
    if (past === null || past === undefined) return;
    for (const [shift, queries] of past.shifts) {
      for (const [query, row] of Object.entries(queries)) this.#fill(this.#ring(shift, query), past.since, row);
    }
  }

  /** Values of the windows first..last, inclusive, oldest first; NaN is missing. */
  read(shift: Shift, query: string, first: number, last: number): Float64Array {
    const ring = this.#rows.get(shift)?.get(query);
    const count = Math.max(0, Math.round((last - first) / this.#stepMs) + 1);
    return Float64Array.from({ length: count }, (_, i) => ring?.get(first + i * this.#stepMs) ?? NaN);
  }

  /** All there is, in the form the stream gives it; null for nothing. */
  all(): Past | null {
    const ends = [...this.#rows.values()].flatMap((queries) => [...queries.values()].flatMap((ring) => [...ring.keys()]));
    if (ends.length === 0) return null;
    const since = ends.reduce((a, b) => Math.min(a, b));
    const until = ends.reduce((a, b) => Math.max(a, b));
    const row = (shift: Shift, query: string): Row =>
      Array.from(this.read(shift, query, since, until), (v) => (Number.isNaN(v) ? null : v));
    const shifts = [...this.#rows].map(
      ([shift, queries]) => [shift, Object.fromEntries([...queries.keys()].map((query) => [query, row(shift, query)]))] as const,
    );
    return { since, shifts };
  }

  /** Values held, for tests of the bound on memory. */
  get size(): number {
    let size = 0;
    for (const queries of this.#rows.values()) for (const ring of queries.values()) size += ring.size;
    return size;
  }

  #fill(ring: Map<number, number>, since: number, row: Row): void {
    row.forEach((value, i) => {
      const end = since + i * this.#stepMs;
      if (value === null) ring.delete(end);
      else ring.set(end, value);
    });
    const oldest = since + (row.length - this.#depth) * this.#stepMs;
    for (const end of ring.keys()) if (end < oldest) ring.delete(end);
  }

  #ring(shift: Shift, query: string): Map<number, number> {
    let queries = this.#rows.get(shift);
    if (queries === undefined) this.#rows.set(shift, (queries = new Map<string, Map<number, number>>()));
    let ring = queries.get(query);
    if (ring === undefined) queries.set(query, (ring = new Map<number, number>()));
    return ring;
  }
}
