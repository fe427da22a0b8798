// The one edge where the hub's JSON becomes the page's types.
import { bool, list, nullable, number, object, oneOf, record, text } from "./json";
import {
  betters,
  formats,
  noticeLevels,
  shifts,
  type Agent,
  type Annotation,
  type ColumnDef,
  type Columns,
  type Dashboard,
  type DeclaredGap,
  type Frame,
  type Group,
  type History,
  type LineDef,
  type Past,
  type Row,
  type Session,
  type Shift,
  type StorageDef,
  type StreamEvent,
  type TableDef,
  type Thresholds,
  type TileDef,
  type TrendDef,
} from "./types";

const labels = (value: unknown, at: string): Group => record(value, at, text);
const labelsOrNone = (value: unknown, at: string): Group => nullable(value, at, labels) ?? {};
const groups = (value: unknown, at: string): Group[] => list(value, at, labels);
const row = (value: unknown, at: string): Row => list(value, at, (v, a) => nullable(v, a, number));

function thresholds(o: Readonly<Record<string, unknown>>, at: string): Thresholds {
  return { warn: nullable(o["warn"], `${at}.warn`, number), crit: nullable(o["crit"], `${at}.crit`, number) };
}

const shift = (value: unknown, at: string): Shift => oneOf(value, at, shifts);

function tile(value: unknown, at: string): TileDef {
  const o = object(value, at);
  return {
    id: text(o["id"], `${at}.id`),
    title: text(o["title"], `${at}.title`),
    unit: nullable(o["unit"], `${at}.unit`, text) ?? "1",
    format: oneOf(o["format"], `${at}.format`, formats),
    query: text(o["query"], `${at}.query`),
    better: oneOf(o["better"] ?? "none", `${at}.better`, betters),
    compare: nullable(o["compare"], `${at}.compare`, shift),
    ...thresholds(o, at),
  };
}

function line(value: unknown, at: string): LineDef {
  const o = object(value, at);
  return { query: text(o["query"], `${at}.query`), label: text(o["label"], `${at}.label`) };
}

function trend(value: unknown, at: string): TrendDef {
  const o = object(value, at);
  return {
    id: text(o["id"], `${at}.id`),
    title: text(o["title"], `${at}.title`),
    unit: nullable(o["unit"], `${at}.unit`, text) ?? "1",
    format: oneOf(o["format"], `${at}.format`, formats),
    max: nullable(o["max"], `${at}.max`, number),
    lines: list(o["lines"], `${at}.lines`, line),
    compare: nullable(o["compare"], `${at}.compare`, shift),
  };
}

function column(value: unknown, at: string): ColumnDef {
  const o = object(value, at);
  return {
    title: text(o["title"], `${at}.title`),
    query: text(o["query"], `${at}.query`),
    unit: nullable(o["unit"], `${at}.unit`, text) ?? "1",
    format: oneOf(o["format"], `${at}.format`, formats),
    ...thresholds(o, at),
  };
}

function table(value: unknown, at: string): TableDef {
  const o = object(value, at);
  return {
    title: text(o["title"], `${at}.title`),
    row: text(o["row"], `${at}.row`),
    link: nullable(o["link"], `${at}.link`, text) ?? "",
    columns: list(o["columns"], `${at}.columns`, column),
  };
}

function storage(value: unknown, at: string): StorageDef {
  const o = object(value, at);
  return {
    behind: text(o["behind"], `${at}.behind`),
    backlog: text(o["backlog"], `${at}.backlog`),
    senders: text(o["senders"], `${at}.senders`),
  };
}

export function decodeDashboard(value: unknown): Dashboard {
  const o = object(value, "dashboard");
  return {
    id: text(o["id"], "id"),
    title: text(o["title"], "title"),
    stepMs: number(o["step_ms"], "step_ms"),
    rangeMs: number(o["range_ms"], "range_ms"),
    queries: record(o["queries"], "queries", object),
    tiles: list(o["tiles"] ?? [], "tiles", tile),
    trends: list(o["trends"] ?? [], "trends", trend),
    table: nullable(o["table"], "table", table),
    storage: nullable(o["storage"], "storage", storage),
  };
}

function columns(value: unknown, at: string): Columns {
  const o = object(value, at);
  return { groups: groups(o["groups"], `${at}.groups`), values: list(o["values"], `${at}.values`, row) };
}

function frame(value: unknown, at: string): Frame {
  const o = object(value, at);
  return {
    end: number(o["end"], `${at}.end`),
    values: record(o["values"], `${at}.values`, row),
    groups: nullable(o["groups"], `${at}.groups`, (v, a) => record(v, a, groups)) ?? {},
  };
}

/** Shifts that this page does not know are left out. */
function past(value: unknown, at: string): Past {
  const o = object(value, at);
  const known = shifts.filter((name) => object(o["shifts"], `${at}.shifts`)[name] !== undefined);
  return {
    since: number(o["since"], `${at}.since`),
    shifts: known.map((name) => [name, record(object(o["shifts"], at)[name], `${at}.${name}`, row)] as const),
  };
}

function annotation(value: unknown, at: string): Annotation {
  const o = object(value, at);
  return {
    id: text(o["id"], `${at}.id`),
    start: number(o["start"], `${at}.start`),
    end: nullable(o["end"], `${at}.end`, number),
    kind: text(o["kind"], `${at}.kind`),
    title: text(o["title"], `${at}.title`),
    text: nullable(o["text"], `${at}.text`, text) ?? "",
    tags: labelsOrNone(o["tags"], `${at}.tags`),
    author: text(o["author"], `${at}.author`),
    updated: number(o["updated"], `${at}.updated`),
  };
}

export const streamEvents = ["hello", "snapshot", "tick", "gap", "notice", "annotation", "bye"] as const;

/** Decodes one event of the stream; throws DecodeError where the hub speaks a language this page does not know. */
export function decodeEvent(type: (typeof streamEvents)[number], value: unknown): StreamEvent {
  const o = object(value, type);
  switch (type) {
    case "hello":
      return {
        type,
        version: number(o["version"], "version"),
        build: text(o["build"], "build"),
        serverTime: number(o["server_time"], "server_time"),
      };
    case "snapshot":
      return {
        type,
        end: number(o["end"], "end"),
        since: number(o["since"], "since"),
        queries: record(o["queries"], "queries", columns),
        past: nullable(o["compare"], "compare", past),
      };
    case "tick":
      return { type, ...frame(value, "tick"), amend: list(o["amend"] ?? [], "amend", frame), past: nullable(o["compare"], "compare", past) };
    case "gap":
      return { type, from: number(o["from"], "from"), to: number(o["to"], "to"), reason: text(o["reason"], "reason") };
    case "notice":
      return { type, level: oneOf(o["level"], "level", noticeLevels), text: text(o["text"], "text") };
    case "annotation":
      return { type, annotation: annotation(value, "annotation") };
    case "bye":
      return { type, reason: text(o["reason"], "reason") };
  }
}

export function decodeHistory(value: unknown): History {
  const o = object(value, "history");
  return {
    stepMs: number(o["step_ms"], "step_ms"),
    ends: list(o["ends"], "ends", number),
    queries: record(o["queries"], "queries", columns),
  };
}

export function decodeAgents(value: unknown): Agent[] {
  return list(object(value, "agents")["agents"] ?? [], "agents", (entry, at) => {
    const o = object(entry, at);
    return {
      agent: text(o["agent"], `${at}.agent`),
      labels: labelsOrNone(o["labels"], `${at}.labels`),
      attributes: labelsOrNone(o["attributes"], `${at}.attributes`),
      connected: bool(o["connected"], `${at}.connected`),
      lastSeen: nullable(o["last_seen"], `${at}.last_seen`, number) ?? 0,
      intervalMs: nullable(o["interval_ms"], `${at}.interval_ms`, number) ?? 1000,
      clockOffsetMs: nullable(o["clock_offset_ms"], `${at}.clock_offset_ms`, number),
    };
  });
}

export function decodeGaps(value: unknown): DeclaredGap[] {
  return list(object(value, "gaps")["gaps"] ?? [], "gaps", (entry, at) => {
    const o = object(entry, at);
    return {
      agent: text(o["agent"], `${at}.agent`),
      from: number(o["from"], `${at}.from`),
      to: number(o["to"], `${at}.to`),
      count: nullable(o["count"], `${at}.count`, number),
      reason: text(o["reason"], `${at}.reason`),
    };
  });
}

export function decodeAnnotations(value: unknown): Annotation[] {
  return list(object(value, "events")["events"], "events", annotation);
}

export const decodeAnnotation = (value: unknown): Annotation => annotation(value, "event");

export function decodeSession(value: unknown): Session {
  const o = object(value, "session");
  return { user: text(o["user"], "user"), role: nullable(o["role"], "role", text) ?? "", expires: number(o["expires"], "expires") };
}

/** The hub's own words for a refusal, or null where the answer is not one of the hub's. */
export function decodeRefusal(value: unknown): { code: string; message: string } | null {
  try {
    const error = object(object(value, "answer")["error"], "error");
    return { code: text(error["code"], "code"), message: text(error["message"], "message") };
  } catch {
    return null;
  }
}
