// The hub's routes, one function each.
import { decodeAgents, decodeAnnotation, decodeAnnotations, decodeDashboard, decodeGaps, decodeHistory, decodeSession } from "./decode";
import { request } from "./http";
import type { Agent, Annotation, AnnotationDraft, Dashboard, DeclaredGap, History, Query, Session } from "./types";

export const maxAnnotations = 200;

/** Names one dashboard with its variables, as the hub's addresses do. */
export interface DashboardRef {
  readonly id: string;
  readonly agent: string | null;
}

export function refParams(ref: DashboardRef): URLSearchParams {
  return new URLSearchParams(ref.agent === null ? {} : { agent: ref.agent });
}

export async function fetchDashboard(ref: DashboardRef): Promise<Dashboard> {
  const params = refParams(ref).toString();
  const query = params === "" ? "" : `?${params}`;
  return decodeDashboard(await request("GET", `/api/v1/dashboards/${encodeURIComponent(ref.id)}${query}`));
}

export interface HistoryRequest {
  readonly queries: Readonly<Record<string, Query>>;
  readonly from: number;
  readonly to: number;
  readonly step: string;
}

export async function fetchHistory(ask: HistoryRequest): Promise<History> {
  return decodeHistory(await request("POST", "/api/v1/query", ask));
}

export async function fetchAgents(): Promise<Agent[]> {
  return decodeAgents(await request("GET", "/api/v1/agents"));
}

/** What the agent, or where it is null any agent, declared lost since `from`, or else in a day. */
export async function fetchGaps(agent: string | null, from: number | null): Promise<DeclaredGap[]> {
  const params = new URLSearchParams();
  if (agent !== null) params.set("agent", agent);
  if (from !== null) params.set("from", String(from));
  return decodeGaps(await request("GET", `/api/v1/gaps?${params.toString()}`));
}

/** What has happened since `from`, the newest first, and no more than charts can show. */
export async function fetchAnnotations(from: number): Promise<Annotation[]> {
  return decodeAnnotations(await request("GET", `/api/v1/events?from=${from}&limit=${maxAnnotations}`));
}

/** With the same key the hub records an event once, however often it is sent. */
export async function recordAnnotation({ start, end, ...said }: AnnotationDraft, key: string): Promise<Annotation> {
  const times = { ...(start !== null && { start }), ...(end !== null && { end }) };
  return decodeAnnotation(await request("POST", "/api/v1/events", { ...said, ...times, key }));
}

export async function fetchSession(): Promise<Session> {
  return decodeSession(await request("GET", "/api/v1/session"));
}

export async function signIn(user: string, password: string): Promise<void> {
  await request("POST", "/api/v1/login", { user, password });
}

export async function signOut(): Promise<void> {
  await request("POST", "/api/v1/logout");
}
