import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Annotation, Dashboard, DeclaredGap } from "../api/types";
import { Announcer } from "../components/Announcer";
import { GapList } from "../components/GapList";
import { HostFacts } from "../components/HostFacts";
import { HostTable } from "../components/HostTable";
import { NoAgents } from "../components/Message";
import { StatusStrip } from "../components/StatusStrip";
import { Tile } from "../components/Tile";
import { Trends } from "../components/Trends";
import type { Grid } from "../data/grid";
import type { Scale } from "../format/scale";
import { fullTime, span, zoneName } from "../format/time";
import { useSecond } from "../lib/hooks";
import { useStore } from "../lib/store";
import { setTabIcon, tabTitle } from "../lib/tab";
import { theme } from "../lib/theme";
import { lostByAgent } from "../select/gaps";
import { status } from "../select/status";
import { storageState } from "../select/storage";
import { rowViews } from "../select/table";
import { tileViews } from "../select/tiles";
import type { Board } from "../store/board";
import { freshness, isOld } from "../stream/freshness";
import { t } from "../strings";

interface BoardViewProps {
  readonly board: Board;
  readonly dashboard: Dashboard;
  readonly grid: Grid;
  readonly title: string;
  readonly kiosk: boolean;
}

const kioskTiles = 6;
const none: readonly DeclaredGap[] = [];

/** The dashboard's sections, in an order that never changes: status, key figures, trends, table. */
export function BoardView({ board, dashboard, grid, title, kiosk }: BoardViewProps): JSX.Element {
  useSecond();
  const state = useStore(board.store, (s) => s);
  const themeChanges = useStore(theme, (s) => s.changes);
  const scales = useRef(new Map<string, Scale>());
  const { revision, viewEnd, comparisons, paused, annotations, annotates } = state;
  const agents = state.agents ?? [];
  const gaps = state.gaps ?? none;
  const { agent } = board.ref;
  const period = span(dashboard.rangeMs);
  const nowMs = board.clock.now();
  const newestMs = grid.newest;
  const fresh = freshness({ nowMs, newestMs, stepMs: dashboard.stepMs, link: state.link });
  const old = isOld(fresh);

  const tiles = useMemo(
    () => tileViews({ dashboard, grid, viewEnd, comparisons, scales: scales.current, period }),
    [dashboard, grid, revision, viewEnd, comparisons],
  );
  // The hub tells how storing goes also where nobody sends any more.
  const storage = useMemo(() => storageState(dashboard, grid, paused ? viewEnd : grid.end), [dashboard, grid, revision, viewEnd, paused]);
  const verdict = useMemo(() => status({ dashboard, grid, viewEnd, agents, agent, storage }), [dashboard, grid, revision, viewEnd, state.agents, storage]);
  const rows = useMemo(() => {
    if (dashboard.table === null || kiosk) return [];
    return rowViews(dashboard.table, grid, agents, viewEnd, lostByAgent(gaps, viewEnd - dashboard.rangeMs, viewEnd));
  }, [dashboard, grid, revision, viewEnd, state.agents, gaps, kiosk]);

  useEffect(() => {
    document.title = tabTitle(verdict.level, verdict.exceptions.length, fresh.kind, title);
  }, [verdict.level, verdict.exceptions.length, fresh.kind, title]);
  useEffect(() => {
    setTabIcon(old ? "unknown" : verdict.level);
  }, [verdict.level, old, themeChanges]);

  // Ages are told anew each second, the rest only when it has changed.
  const minuteMs = Math.floor(nowMs / 60_000) * 60_000;
  const late = !paused && viewEnd > 0 && (old || fresh.kind === "delayed");
  const viewTo = late ? Math.floor(nowMs / dashboard.stepMs) * dashboard.stepMs : viewEnd;
  const annotate = (annotation: Annotation): void => {
    board.annotated.hear([annotation]);
  };
  const tileRow = useMemo(
    () => (
      <section class="tiles" aria-label={t.tilesLabel}>
        {(kiosk ? tiles.slice(0, kioskTiles) : tiles).map((view) => <Tile key={view.id} view={view} />)}
      </section>
    ),
    [tiles, kiosk],
  );
  const trends = useMemo(
    () => (
      <Trends
        dashboard={dashboard}
        grid={grid}
        viewEnd={viewEnd}
        revision={revision}
        viewTo={viewTo}
        rangeName={period}
        zone={zoneName(nowMs)}
        backfill={state.backfill}
        gaps={agent === null ? none : gaps}
        annotations={annotations}
        onAnnotate={annotates ? annotate : null}
        agent={agent}
        themeChanges={themeChanges}
        old={old}
        kiosk={kiosk}
      />
    ),
    [dashboard, grid, revision, viewEnd, viewTo, state.backfill, gaps, annotations, annotates, themeChanges, old, kiosk],
  );
  const table = useMemo(
    () => (dashboard.table === null || kiosk ? null : <HostTable def={dashboard.table} rows={rows} nowMs={minuteMs} />),
    [rows, minuteMs, kiosk],
  );

  const known = agents.find((a) => a.agent === agent);
  const empty = agent === null && state.agents?.length === 0 && newestMs === 0;
  return (
    <div class="board" data-freshness={fresh.kind} data-old={old} data-paused={paused} data-tiles={dashboard.tiles.length} data-table={dashboard.table !== null}>
      <StatusStrip
        status={verdict}
        old={old}
        freshness={fresh}
        newestMs={newestMs}
        nowMs={nowMs}
        pausedAt={paused ? viewEnd : null}
        storage={old ? { kind: "well" } : storage}
        memoryMs={dashboard.table === null ? dashboard.rangeMs : 60 * dashboard.stepMs}
      />
      <p class="print-only">{dashboard.title} – {fullTime(nowMs)} {zoneName(nowMs)} – {t.lastRange(period)}</p>
      <Announcer text={old ? `${t.fresh[fresh.kind]}. ${verdict.sentence}` : verdict.sentence} critical={verdict.level === "critical" && !old ? verdict.sentence : ""} />
      {agent !== null && !kiosk && <HostFacts agent={known} gaps={state.gaps} nowMs={nowMs} />}
      {agent !== null && !kiosk && <GapList gaps={gaps} nowMs={nowMs} />}
      {empty ? (
        <NoAgents />
      ) : (
        <>
          {tileRow}
          {trends}
          {table}
        </>
      )}
    </div>
  );
}
