// What hub and page say to each other. Times are milliseconds since the UTC epoch; a window is named by its end.

export type Group = Readonly<Record<string, string>>;

/** A panel's question. The page passes it on to the history and reads no more than `over` from it. */
export type Query = Readonly<Record<string, unknown>>;

export const formats = ["percent", "bytes", "bytes_per_second", "number", "duration"] as const;
export type Format = (typeof formats)[number];

export const betters = ["lower", "higher", "none"] as const;
export type Better = (typeof betters)[number];

/** How far back a comparison looks, by the calendar. */
export const shifts = ["1d", "1w", "1M"] as const;
export type Shift = (typeof shifts)[number];

export interface Thresholds {
  readonly warn: number | null;
  readonly crit: number | null;
}

export interface TileDef extends Thresholds {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly format: Format;
  readonly query: string;
  readonly better: Better;
  readonly compare: Shift | null;
}

export interface LineDef {
  readonly query: string;
  readonly label: string;
}

export interface TrendDef {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly format: Format;
  readonly max: number | null;
  readonly lines: readonly LineDef[];
  readonly compare: Shift | null;
}

export interface ColumnDef extends Thresholds {
  readonly title: string;
  readonly query: string;
  readonly unit: string;
  readonly format: Format;
}

export interface TableDef {
  readonly title: string;
  readonly row: string;
  readonly link: string;
  readonly columns: readonly ColumnDef[];
}

export interface Dashboard {
  readonly id: string;
  readonly title: string;
  readonly stepMs: number;
  readonly rangeMs: number;
  readonly queries: Readonly<Record<string, Query>>;
  readonly tiles: readonly TileDef[];
  readonly trends: readonly TrendDef[];
  readonly table: TableDef | null;
  readonly storage: StorageDef | null;
}

/** Names the queries by which a page tells how storing goes. */
export interface StorageDef {
  readonly behind: string;
  readonly backlog: string;
  readonly senders: string;
}

/** Values of one window, in the order of the query's groups; null is missing. */
export type Row = readonly (number | null)[];

/** One row per group, each with one value per window, oldest first. */
export interface Columns {
  readonly groups: readonly Group[];
  readonly values: readonly Row[];
}

/** What windows are compared with, the first of which ends at `since`: by shift and query, one value for each. */
export interface Past {
  readonly since: number;
  readonly shifts: readonly (readonly [Shift, Readonly<Record<string, Row>>])[];
}

export interface Hello {
  readonly type: "hello";
  readonly version: number;
  readonly build: string;
  readonly serverTime: number;
}

export interface Snapshot {
  readonly type: "snapshot";
  readonly end: number;
  readonly since: number;
  readonly queries: Readonly<Record<string, Columns>>;
  readonly past?: Past | null;
}

export interface Frame {
  readonly end: number;
  readonly values: Readonly<Record<string, Row>>;
  readonly groups: Readonly<Record<string, readonly Group[]>>;
}

export interface Tick extends Frame {
  readonly type: "tick";
  readonly amend: readonly Frame[];
  readonly past?: Past | null;
}

export interface Gap {
  readonly type: "gap";
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

export const noticeLevels = ["info", "warning", "critical"] as const;
export type NoticeLevel = (typeof noticeLevels)[number];

export interface Notice {
  readonly type: "notice";
  readonly level: NoticeLevel;
  readonly text: string;
}

/** Something that a person or a program says has happened: a deploy, an incident. The hub calls it an event. */
export interface Annotation {
  readonly id: string;
  readonly start: number;
  /** Null where it is a moment. */
  readonly end: number | null;
  readonly kind: string;
  readonly title: string;
  readonly text: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly author: string;
  readonly updated: number;
}

/** An annotation as it is written. */
export interface AnnotationDraft {
  readonly title: string;
  readonly kind: string;
  readonly text: string;
  /** Null for now. */
  readonly start: number | null;
  readonly end: number | null;
}

export interface Annotated {
  readonly type: "annotation";
  readonly annotation: Annotation;
}

export interface Bye {
  readonly type: "bye";
  readonly reason: string;
}

export type StreamEvent = Hello | Snapshot | Tick | Gap | Notice | Annotated | Bye;

export interface History {
  readonly stepMs: number;
  readonly ends: readonly number[];
  readonly queries: Readonly<Record<string, Columns>>;
}

export interface Agent {
  readonly agent: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly attributes: Readonly<Record<string, string>>;
  readonly connected: boolean;
  readonly lastSeen: number;
  readonly intervalMs: number;
  /** How far its clock is ahead of the hub's; null where nobody knows. */
  readonly clockOffsetMs: number | null;
}

/** Samples that an agent declares lost. */
export interface DeclaredGap {
  readonly agent: string;
  readonly from: number;
  readonly to: number;
  /** Of samples; null where the agent does not know. */
  readonly count: number | null;
  readonly reason: string;
}

export interface Session {
  readonly user: string;
  readonly role: string;
  readonly expires: number;
}
