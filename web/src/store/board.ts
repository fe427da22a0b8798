// One dashboard on screen: takes what the stream, history and the hub's lists say, and keeps the state the page draws.
import { fetchAgents, fetchDashboard, fetchGaps, fetchHistory, type DashboardRef } from "../api/hub";
import { HttpError } from "../api/http";
import type { Dashboard, Gap, Snapshot, StreamEvent } from "../api/types";
import { applyGap, applySnapshot, applyTick, snapshotOf, unsettledWindows } from "../data/apply";
import { Backfill, holes, union } from "../data/backfill";
import { stepName } from "../data/compare";
import { Grid } from "../data/grid";
import { isNewer } from "../lib/build";
import { Repeater } from "../lib/repeater";
import { Store } from "../lib/store";
import { backoffMs } from "../stream/backoff";
import { openStream } from "../stream/client";
import { ServerClock } from "../stream/clock";
import { Annotated } from "./annotated";
import { drawnQueries, loadComparisons } from "./queries";
import { addNotice, initialState, type BoardState } from "./state";

export interface BoardPorts {
  readonly ref: DashboardRef;
  readonly onUnauthorized: () => void;
}

const protocolVersion = 1;
const agentsEveryMs = 15_000;
const gapsEveryMs = 10_000;
const compareEveryMs = 60_000;
/** Where no stream opens, history is asked all the same. */
const helloGraceMs = 2_000;
const joinWindows = 60;

export class Board {
  readonly store = new Store<BoardState>(initialState);
  readonly clock = new ServerClock();
  readonly ref: DashboardRef;
  readonly annotated: Annotated;

  readonly #ports: BoardPorts;
  readonly #agents: Repeater;
  readonly #gaps: Repeater;
  readonly #comparison: Repeater;
  #grid: Grid | null = null;
  #backfill: Backfill | null = null;
  #closeStream: (() => void) | null = null;
  #frame = 0;
  #asked = false;
  /** End of the newest window the stream gave. The grid may be ahead of it: history fills it too. */
  #lastId = 0;
  /** What the stream said it cannot give; the snapshot that follows says what is still missing then. */
  #gap: Gap | null = null;
  /** The stream was cut off, and not closed by this page, since the last snapshot. */
  #cutOff = false;
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ports: BoardPorts) {
    this.#ports = ports;
    this.ref = ports.ref;
    this.annotated = new Annotated({ store: this.store, clock: this.clock, onUnauthorized: ports.onUnauthorized });
    this.#agents = new Repeater(agentsEveryMs, () => this.#loadAgents());
    this.#gaps = new Repeater(gapsEveryMs, () => this.#loadGaps());
    this.#comparison = new Repeater(compareEveryMs, () => this.#compare());
  }

  /** The values; only there once the definition is. */
  get grid(): Grid | null {
    return this.#grid;
  }

  start(): void {
    document.addEventListener("visibilitychange", this.#flushSoon);
    this.#agents.start();
    void this.#load(0);
  }

  stop(): void {
    this.#stopped = true;
    document.removeEventListener("visibilitychange", this.#flushSoon);
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    for (const repeated of [this.#agents, this.#gaps, this.#comparison, this.annotated]) repeated.stop();
    this.#backfill?.stop();
    this.#closeStream?.();
  }

  togglePause(): void {
    const paused = !this.store.get().paused;
    this.store.set({ paused });
    if (!paused) this.#flushSoon();
  }

  dismissNotice(id: number): void {
    this.store.set({ notices: this.store.get().notices.filter((notice) => notice.id !== id) });
  }

  /** Tries to load the definition at once. */
  retry(): void {
    clearTimeout(this.#timer);
    void this.#load(0);
  }

  async #load(attempt: number): Promise<void> {
    try {
      const dashboard = await fetchDashboard(this.ref);
      if (!this.#stopped) this.#open(dashboard);
    } catch (error) {
      if (!this.#stopped) this.#loadFailed(error, attempt);
    }
  }

  #loadFailed(error: unknown, attempt: number): void {
    if (error instanceof HttpError && error.unauthorized) {
      this.#ports.onUnauthorized();
      return;
    }
    if (error instanceof HttpError && error.status === 404) {
      this.store.set({ phase: { kind: "missing" } });
      return;
    }
    this.store.set({ phase: { kind: "failed", message: error instanceof Error ? error.message : String(error) } });
    this.#timer = setTimeout(() => void this.#load(attempt + 1), backoffMs(attempt, Math.random()));
  }

  #open(dashboard: Dashboard): void {
    const drawn = drawnQueries(dashboard);
    const grid = new Grid({
      stepMs: dashboard.stepMs,
      // Twice the range, so that a paused page keeps what it shows for as long as that.
      depth: Math.ceil((2 * dashboard.rangeMs) / dashboard.stepMs),
      deep: new Set(Object.keys(drawn)),
      // How storing goes is known as long as there is a hub: it says nothing of how fresh the dashboard's own data is.
      background: new Set(Object.values(dashboard.storage ?? {})),
    });
    this.#grid = grid;
    this.#backfill = new Backfill({
      grid,
      ask: ({ first, last }) =>
        fetchHistory({ queries: drawn, from: first - grid.stepMs, to: last, step: stepName(grid.stepMs) }),
      onChange: (backfill) => {
        this.store.set({ backfill });
        this.#flushSoon();
      },
      onUnauthorized: this.#ports.onUnauthorized,
    });
    this.store.set({ phase: { kind: "ready" }, dashboard });
    this.#gaps.start();
    this.annotated.start();
    this.#closeStream = openStream({
      ref: this.ref,
      lastId: () => this.#lastId,
      snapshot: () => snapshotOf(grid, Object.keys(dashboard.queries), joinWindows, this.#lastId),
      onEvent: (event) => {
        this.#receive(event, grid);
      },
      onLink: (link) => {
        if (link === this.store.get().link) return;
        this.#cutOff ||= link === "lost";
        this.store.set({ link });
        if (link !== "open") return;
        this.#agents.now();
        this.annotated.now();
      },
      onUnauthorized: this.#ports.onUnauthorized,
      onForeign: () => {
        this.store.set({ outdated: "foreign" });
      },
    });
    this.#timer = setTimeout(() => {
      this.#askAll(this.clock.now());
    }, helloGraceMs);
  }

  #receive(event: StreamEvent, grid: Grid): void {
    switch (event.type) {
      case "hello":
        this.clock.set(event.serverTime);
        // The first snapshot may take a second or two to come, and the newest windows as long to be stored.
        this.#askAll(event.serverTime - 2 * grid.stepMs);
        this.#compareBuilds(event.version, event.build);
        return;
      case "snapshot":
        this.#receiveSnapshot(grid, event);
        break;
      case "tick":
        applyTick(grid, event);
        this.#lastId = event.end;
        this.clock.atLeast(event.end);
        break;
      case "gap":
        applyGap(grid, event);
        this.#gap = event;
        return;
      case "notice":
        this.store.set({ notices: addNotice(this.store.get().notices, event) });
        return;
      case "annotation":
        this.annotated.hear([event.annotation]);
        return;
      case "bye":
        return;
    }
    this.#flushSoon();
  }

  #compareBuilds(version: number, build: string): void {
    if (version !== protocolVersion) this.store.set({ outdated: "foreign" });
    else if (isNewer(build)) this.store.set({ outdated: "newer" });
  }

  #receiveSnapshot(grid: Grid, snapshot: Snapshot): void {
    const first = this.#lastId === 0;
    const { end, since } = snapshot;
    this.#noteMissed(grid, since);
    applySnapshot(grid, snapshot);
    this.#lastId = end;
    this.clock.atLeast(end);
    if (!first) this.#askMissed(grid);
    // What lies just before the stream may not be stored yet.
    else this.#backfill?.request({ first: since - unsettledWindows * grid.stepMs, last: since - grid.stepMs }, true);
  }

  /** Asks for all that the stream left out, in one request. */
  #askMissed(grid: Grid): void {
    const gap = this.#gap;
    const cutOff = this.#cutOff;
    this.#gap = null;
    this.#cutOff = false;
    const rangeMs = this.store.get().dashboard?.rangeMs ?? 0;
    const screen = { first: grid.end - rangeMs + grid.stepMs, last: grid.end };
    let unknown = holes(grid, screen);
    // What came late for the last windows before a gap was to ride in ticks that are lost.
    if (gap !== null) unknown = union(unknown, { first: gap.from - unsettledWindows * grid.stepMs, last: gap.to });
    if (unknown === null || unknown.last < screen.first) return;
    // A page that was away finds history settled. After a restart agents deliver what they held back meanwhile; a hub
    // also says "restart" where its memory begins later because nobody else was watching.
    const settled = gap !== null && !(cutOff && gap.reason === "restart");
    this.#backfill?.request({ first: Math.max(screen.first, unknown.first), last: unknown.last }, !settled);
  }

  /** The windows between the newest one and a snapshot are missed, whether a gap was declared (to another tab) or not. */
  #noteMissed(grid: Grid, since: number): void {
    if (this.#lastId === 0 || since <= this.#lastId + grid.stepMs) return;
    this.#gap = { type: "gap", from: this.#lastId, to: since - grid.stepMs, reason: this.#gap?.reason ?? "away" };
    applyGap(grid, this.#gap);
  }

  #askAll(nowMs: number): void {
    const { dashboard } = this.store.get();
    if (this.#asked || dashboard === null) return;
    this.#asked = true;
    const last = Math.floor(nowMs / dashboard.stepMs) * dashboard.stepMs;
    this.#backfill?.request({ first: last - dashboard.rangeMs + dashboard.stepMs, last }, false);
    this.#comparison.start();
  }

  async #loadAgents(): Promise<void> {
    try {
      const agents = await fetchAgents();
      if (!this.#stopped) this.store.set({ agents });
    } catch (error) {
      if (error instanceof HttpError && error.unauthorized && !this.#stopped) this.#ports.onUnauthorized();
      // Anything else passes: the next round asks again, and the freshness already says that something is wrong.
    }
  }

  async #loadGaps(): Promise<void> {
    const { agent } = this.ref;
    const rangeMs = this.store.get().dashboard?.rangeMs ?? 0;
    try {
      const gaps = await fetchGaps(agent, agent === null ? Math.floor(this.clock.now() - rangeMs) : null);
      if (!this.#stopped) this.store.set({ gaps });
    } catch (error) {
      if (error instanceof HttpError && error.unauthorized && !this.#stopped) this.#ports.onUnauthorized();
      // What is known of gaps stays true; the next round asks again.
    }
  }

  async #compare(): Promise<void> {
    const { dashboard, paused } = this.store.get();
    if (dashboard === null || paused) return;
    try {
      const comparisons = await loadComparisons(dashboard, this.clock.now());
      if (!this.#stopped) this.store.set({ comparisons });
    } catch {
      // The tiles then say that there is nothing to compare with; the next round asks again.
    }
  }

  /** Where only the hub still tells of itself, the dashboard's own newest values stay on screen, and grow old. */
  get #viewEnd(): number {
    return this.#grid === null ? 0 : this.#grid.newest > 0 ? this.#grid.newest : this.#grid.end;
  }

  /** Draws at most once per frame, and not at all while nobody can see it or the page is paused: amended values wait, too. */
  readonly #flushSoon = (): void => {
    cancelAnimationFrame(this.#frame);
    if (document.visibilityState !== "visible") return;
    this.#frame = requestAnimationFrame(() => {
      const { revision, viewEnd, paused } = this.store.get();
      if (paused && viewEnd > 0) return;
      this.store.set({ revision: revision + 1, viewEnd: this.#viewEnd });
    });
  };
}
