// Which of a dashboard's queries are asked of history, and for what.
import { fetchHistory } from "../api/hub";
import type { Dashboard, Query } from "../api/types";
import { compare, stepFor, type Comparison } from "../data/compare";

/** Windows a comparison is made of at most; it needs an average and a band, not a chart. */
const comparisonWindows = 200;

/** The queries whose whole range is drawn: those of tiles and trends. A table shows the newest values only. */
export function drawnQueries(dashboard: Dashboard): Record<string, Query> {
  const lines = dashboard.trends.flatMap((trend) => trend.lines.map((line) => line.query));
  return pick(dashboard, [...tileQueries(dashboard), ...lines]);
}

/** Compares the dashboard's range up to now with the one before, for each tile, by query. */
export async function loadComparisons(dashboard: Dashboard, nowMs: number): Promise<Map<string, Comparison>> {
  const { rangeMs } = dashboard;
  const [step, stepMs] = stepFor(2 * rangeMs, comparisonWindows);
  // The newest window may not be stored yet.
  const to = Math.floor(nowMs / stepMs) * stepMs - stepMs;
  const queries = pick(dashboard, tileQueries(dashboard));
  const history = await fetchHistory({ queries, from: to - 2 * rangeMs, to, step });
  return new Map(
    Object.entries(queries).map(([name, query]) => {
      const compared = compare(history, name, to - rangeMs);
      // An increase grows with the step, so what is normal at one step says nothing about another.
      return [name, query["over"] === "increase" ? { ...compared, normal: null } : compared];
    }),
  );
}

const tileQueries = (dashboard: Dashboard): string[] => dashboard.tiles.map((tile) => tile.query);

function pick(dashboard: Dashboard, names: readonly string[]): Record<string, Query> {
  const picked: Record<string, Query> = {};
  for (const name of names) {
    const query = dashboard.queries[name];
    if (query !== undefined) picked[name] = query;
  }
  return picked;
}
