import type { Agent, Annotation, Dashboard, DeclaredGap, Notice } from "../api/types";
import type { BackfillState } from "../data/backfill";
import type { Comparison } from "../data/compare";
import type { Link } from "../stream/freshness";

export type Phase =
  | { readonly kind: "loading" }
  | { readonly kind: "ready" }
  | { readonly kind: "missing" }
  | { readonly kind: "failed"; readonly message: string };

export interface ShownNotice extends Notice {
  readonly id: number;
}

/** All a board shows, but for the values: those stay in the grid, and `revision` grows with each look at them. */
export interface BoardState {
  readonly phase: Phase;
  readonly dashboard: Dashboard | null;
  readonly revision: number;
  /** End of the newest window shown; it stands still while paused. */
  readonly viewEnd: number;
  readonly paused: boolean;
  readonly link: Link;
  readonly backfill: BackfillState;
  readonly comparisons: ReadonlyMap<string, Comparison>;
  /** Null until the first answer. */
  readonly agents: readonly Agent[] | null;
  /** What was declared lost, of the host in a day, or of all hosts in the range shown; null until the first answer. */
  readonly gaps: readonly DeclaredGap[] | null;
  /** What has happened in the range shown, and a while before; what began last comes first. */
  readonly annotations: readonly Annotation[];
  /** Whether the viewer may record more of it. */
  readonly annotates: boolean;
  readonly notices: readonly ShownNotice[];
  /** The hub has a newer page, or speaks a newer protocol. */
  readonly outdated: "no" | "newer" | "foreign";
}

export const initialState: BoardState = {
  phase: { kind: "loading" },
  dashboard: null,
  revision: 0,
  viewEnd: 0,
  paused: false,
  link: "opening",
  backfill: { kind: "loading" },
  comparisons: new Map(),
  agents: null,
  gaps: null,
  annotations: [],
  annotates: false,
  notices: [],
  outdated: "no",
};

const keptNotices = 3;

export function addNotice(notices: readonly ShownNotice[], notice: Notice): readonly ShownNotice[] {
  const id = (notices.at(-1)?.id ?? 0) + 1;
  return [...notices, { ...notice, id }].slice(-keptNotices);
}
