// The page's memory: the newest windows of every query, one ring per group, of a fixed size for as long as the page lives.
import type { Group } from "../api/types";
import { PastValues } from "./past";

/** Identifies a group within its query, whatever the order of its labels. */
export function groupKey(group: Group): string {
  return Object.keys(group)
    .sort()
    .map((name) => `${name}=${group[name] ?? ""}`)
    .join("\n");
}

export interface GridShape {
  readonly stepMs: number;
  /** Windows a chart's query remembers. */
  readonly depth: number;
  /** Queries that charts and tiles draw; all others remember `shallow` windows. */
  readonly deep: ReadonlySet<string>;
  /** Queries whose values do not count as news of what the dashboard is about. */
  readonly background?: ReadonlySet<string>;
}

/** Windows remembered where only the newest value is shown; enough to tell since when a value is bad. */
const shallow = 60;
/** Groups of one query that remember a whole chart. A chart draws five; a table of thousands needs the newest values only. */
const deepGroups = 32;

/** Who told of a window. The stream amends what it gave; history may not have heard of the newest samples yet. */
export type Teller = "nobody" | "history" | "stream";
const tellers: readonly Teller[] = ["nobody", "history", "stream"];

interface QueryRings {
  groups: readonly Group[];
  keys: readonly string[];
  current: ReadonlySet<string>;
  rings: Map<string, Float64Array>;
  /** What the keys of the rings stand for. */
  named: Map<string, Group>;
}

export class Grid {
  readonly stepMs: number;
  readonly depth: number;
  /** End of the newest window, or 0 before the first. */
  end = 0;
  /** End of the newest window that held a value of what the dashboard is about, or 0. */
  newest = 0;

  /** What the windows are compared with. */
  readonly past: PastValues;

  readonly #deep: ReadonlySet<string>;
  readonly #background: ReadonlySet<string>;
  /** Indexes of tellers, by window. */
  readonly #told: Uint8Array;
  readonly #queries = new Map<string, QueryRings>();

  constructor(shape: GridShape) {
    this.stepMs = shape.stepMs;
    this.depth = shape.depth;
    this.past = new PastValues(shape.stepMs, shape.depth);
    this.#deep = shape.deep;
    this.#background = shape.background ?? new Set();
    this.#told = new Uint8Array(shape.depth);
  }

  /** The groups of a query as the hub last listed them. */
  groups(query: string): readonly Group[] {
    return this.#queries.get(query)?.groups ?? [];
  }

  keys(query: string): readonly string[] {
    return this.#queries.get(query)?.keys ?? [];
  }

  /** Whether the hub lists the group for this query now. */
  has(query: string, key: string): boolean {
    return this.#queries.get(query)?.current.has(key) ?? false;
  }

  /** The same, and those that left but have a value since `first`: what a chart has lines of. */
  groupsSince(query: string, first: number): readonly Group[] {
    const entry = this.#queries.get(query);
    if (entry === undefined) return [];
    const left = [...entry.named].filter(([key]) => !entry.current.has(key) && this.read(query, key, first, this.end).some((v) => !Number.isNaN(v)));
    return left.length === 0 ? entry.groups : [...entry.groups, ...left.map(([, group]) => group)];
  }

  /** Replaces a query's list of groups. Rings of groups that left are kept while they hold something a chart still shows. */
  setGroups(query: string, groups: readonly Group[]): void {
    const entry = this.#entry(query);
    entry.groups = groups;
    entry.keys = groups.map(groupKey);
    entry.current = new Set(entry.keys);
    this.name(query, groups);
    for (const key of entry.named.keys()) {
      if (entry.current.has(key) || entry.rings.get(key)?.some((v) => !Number.isNaN(v)) === true) continue;
      entry.rings.delete(key);
      entry.named.delete(key);
    }
  }

  /** Says what keys stand for that the hub does not list now: history knows groups that left. */
  name(query: string, groups: readonly Group[]): void {
    const { named } = this.#entry(query);
    for (const group of groups) named.set(groupKey(group), group);
  }

  /** Makes `end` the newest window; the windows it steps over are missing, and unknown until marked. */
  advance(end: number): void {
    if (end <= this.end) return;
    const steps = this.end === 0 ? Infinity : (end - this.end) / this.stepMs;
    for (const { rings } of this.#queries.values()) for (const ring of rings.values()) this.#clear(ring, end, steps, NaN);
    this.#clear(this.#told, end, steps, 0);
    this.end = end;
  }

  put(query: string, key: string, end: number, value: number): void {
    const ring = this.#ring(query, key);
    if (end > this.newest && end <= this.end && !Number.isNaN(value) && !this.#background.has(query)) this.newest = end;
    if (this.#holds(end, ring.length)) ring[this.#slot(end, ring.length)] = value;
  }

  /** The value of one window; NaN is missing or no longer remembered. */
  value(query: string, key: string, end: number): number {
    const ring = this.#queries.get(query)?.rings.get(key);
    if (ring === undefined || !this.#holds(end, ring.length)) return NaN;
    return ring[this.#slot(end, ring.length)] ?? NaN;
  }

  /** Values of the windows first..last, inclusive, oldest first. */
  read(query: string, key: string, first: number, last: number): Float64Array {
    const count = Math.max(0, Math.round((last - first) / this.stepMs) + 1);
    const out = new Float64Array(count);
    for (let i = 0; i < count; i++) out[i] = this.value(query, key, first + i * this.stepMs);
    return out;
  }

  /** Says who told of the windows first..last. */
  mark(first: number, last: number, by: Teller): void {
    for (let end = Math.max(first, this.oldest); end <= Math.min(last, this.end); end += this.stepMs) {
      this.#told[this.#slot(end, this.depth)] = tellers.indexOf(by);
    }
  }

  teller(end: number): Teller {
    return (this.#holds(end, this.depth) ? tellers[this.#told[this.#slot(end, this.depth)] ?? 0] : undefined) ?? "nobody";
  }

  known(end: number): boolean {
    return this.teller(end) !== "nobody";
  }

  /** End of the oldest window remembered. */
  get oldest(): number {
    return this.end - (this.depth - 1) * this.stepMs;
  }

  /** Rings held: one for each group of each query. */
  get rings(): number {
    let count = 0;
    for (const { rings } of this.#queries.values()) count += rings.size;
    return count;
  }

  /** Values there is room for in all rings. */
  get windows(): number {
    let count = 0;
    for (const { rings } of this.#queries.values()) for (const ring of rings.values()) count += ring.length;
    return count;
  }

  #ring(query: string, key: string): Float64Array {
    const entry = this.#entry(query);
    let ring = entry.rings.get(key);
    if (ring === undefined) {
      const deep = this.#deep.has(query) && entry.rings.size < deepGroups;
      ring = new Float64Array(deep ? this.depth : Math.min(shallow, this.depth)).fill(NaN);
      entry.rings.set(key, ring);
    }
    return ring;
  }

  #entry(query: string): QueryRings {
    let entry = this.#queries.get(query);
    if (entry === undefined) this.#queries.set(query, (entry = { groups: [], keys: [], current: new Set(), rings: new Map(), named: new Map() }));
    return entry;
  }

  #clear(ring: Float64Array | Uint8Array, end: number, steps: number, empty: number): void {
    if (steps >= ring.length) {
      ring.fill(empty);
      return;
    }
    for (let i = 0; i < steps; i++) ring[this.#slot(end - i * this.stepMs, ring.length)] = empty;
  }

  #holds(end: number, length: number): boolean {
    return end <= this.end && end > this.end - length * this.stepMs;
  }

  #slot(end: number, length: number): number {
    return Math.round(end / this.stepMs) % length;
  }
}
