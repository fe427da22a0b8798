// The one sentence: is everything all right? As bad as the worst member, exceptions first.
import type { Agent, Dashboard, Format, TableDef, Thresholds } from "../api/types";
import { groupKey, type Grid } from "../data/grid";
import { plain } from "../format/number";
import { t } from "../strings";
import { rank, worst, type Level } from "./level";
import { judge } from "./read";
import type { StorageState } from "./storage";
import { members, silentSince } from "./table";

export interface Exception {
  readonly level: Level;
  readonly subject: string;
  readonly href: string;
  readonly text: string;
  /** When it began; 0 where that is longer ago than the page remembers. */
  readonly since: number;
}

export interface Status {
  readonly level: Level;
  readonly sentence: string;
  readonly exceptions: readonly Exception[];
  /** When what the sentence says began; 0 where that is not known of all of it. */
  readonly since: number;
}

export interface StatusInput {
  readonly dashboard: Dashboard;
  readonly grid: Grid;
  readonly viewEnd: number;
  readonly agents: readonly Agent[];
  /** The host the dashboard is about, or null where it is about all of them. */
  readonly agent: string | null;
  readonly storage: StorageState;
}

interface Measure extends Thresholds {
  readonly title: string;
  readonly query: string;
  readonly unit: string;
  readonly format: Format;
}

export function status(input: StatusInput): Status {
  if (input.grid.newest === 0) return { level: "unknown", sentence: t.waitingForData, exceptions: [], since: 0 };
  const found = input.agent === null ? ofHosts(input) : ofHost(input, input.agent);
  const behind = ofStorage(input.storage);
  const exceptions = [...found, ...behind].sort(
    (a, b) => rank(b.level) - rank(a.level) || a.subject.localeCompare(b.subject, undefined, { numeric: true }),
  );
  const level = worst(exceptions.map((e) => e.level));
  const measured = sentence(input, found);
  const told = behind.length === 0 ? measured : found.length === 0 ? t.butBehind(measured) : t.behindAnd(measured);
  return { level, exceptions, sentence: told, since: began(found.length === 0 ? behind : found) };
}

function began(exceptions: readonly Exception[]): number {
  const known = exceptions.map((e) => e.since).filter((since) => since > 0);
  return exceptions.length > 0 && known.length === exceptions.length ? Math.min(...known) : 0;
}

/** Live goes on while history is behind, so it is no more than a warning. */
function ofStorage(storage: StorageState): Exception[] {
  if (storage.kind !== "behind") return [];
  const text = t.behind(t.behindReasons[storage.reason] ?? storage.reason);
  return [{ level: "warning", subject: t.history, href: "/d/telltale", text, since: storage.since }];
}

function sentence({ agent, dashboard, grid, agents }: StatusInput, exceptions: readonly Exception[]): string {
  if (agent !== null) {
    if (exceptions.length === 0) return t.hostWell(agent);
    if (exceptions.some((e) => e.level === "unknown")) return t.hostSilent(agent);
    return `${agent}: ${t.measuresNotWell(exceptions.length)}`;
  }
  const hosts = dashboard.table === null ? [] : members(dashboard.table, grid, agents);
  const bad = new Set(exceptions.map((e) => e.subject).filter((subject) => hosts.includes(subject)));
  if (bad.size > 0) return t.hostsNotWell(bad.size, hosts.length);
  if (exceptions.length > 0) return t.measuresNotWell(exceptions.length);
  return hosts.length === 0 ? t.allWell : t.hostsWell(hosts.length);
}

function ofHosts({ dashboard, grid, viewEnd, agents }: StatusInput): Exception[] {
  const { table } = dashboard;
  const found = table === null ? [] : ofRows(table, grid, viewEnd, agents);
  // A measure of all hosts together speaks only where no host explains it.
  const explained = new Set(found.map((e) => e.text.split(" ")[0]));
  for (const tile of dashboard.tiles) {
    if (explained.has(tile.title.split(" ")[0] ?? "")) continue;
    found.push(...breaches(grid, [tile], grid.keys(tile.query)[0] ?? "", viewEnd, t.allHosts, ""));
  }
  return found;
}

function ofRows(table: TableDef, grid: Grid, viewEnd: number, agents: readonly Agent[]): Exception[] {
  const byName = new Map(agents.map((agent) => [agent.agent, agent]));
  return members(table, grid, agents).flatMap((name) => {
    const href = table.link.replaceAll(`{${table.row}}`, encodeURIComponent(name));
    const silent = silentSince(table, grid, byName.get(name), name, viewEnd);
    if (silent !== null) return [{ level: "unknown" as const, subject: name, href, text: t.silent, since: silent }];
    return breaches(grid, table.columns, groupKey({ [table.row]: name }), viewEnd, name, href);
  });
}

function ofHost({ dashboard, grid, viewEnd, agents }: StatusInput, host: string): Exception[] {
  const agent = agents.find((known) => known.agent === host);
  if (agent?.connected === false) return [{ level: "unknown", subject: host, href: "", text: t.silent, since: agent.lastSeen }];
  return dashboard.tiles.flatMap((tile) => breaches(grid, [tile], grid.keys(tile.query)[0] ?? "", viewEnd, host, ""));
}

function breaches(grid: Grid, measures: readonly Measure[], key: string, viewEnd: number, subject: string, href: string): Exception[] {
  return measures.flatMap((measure) => {
    const { level, value, since } = judge(grid, measure.query, key, viewEnd, measure);
    if (level === "ok") return [];
    return [{ level, subject, href, since, text: `${measure.title} ${plain(value, measure.format, measure.unit)}` }];
  });
}
