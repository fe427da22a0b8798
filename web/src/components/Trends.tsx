import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import type { Annotation, Dashboard, DeclaredGap, Thresholds } from "../api/types";
import type { BackfillState } from "../data/backfill";
import type { Grid } from "../data/grid";
import { useHold } from "../lib/hold";
import { annotationsWithin, timeMarks } from "../select/annotations";
import { noMemory, trendData, unmeasured, type TrendData, type TrendMemory } from "../select/trends";
import { t } from "../strings";
import { Annotations } from "./Annotations";
import { TrendChart } from "./TrendChart";

export interface TrendsProps {
  readonly dashboard: Dashboard;
  readonly grid: Grid;
  readonly viewEnd: number;
  readonly revision: number;
  /** The hub's time where data is late, so that the missing part is seen; else the newest window. */
  readonly viewTo: number;
  readonly rangeName: string;
  readonly zone: string;
  readonly backfill: BackfillState;
  /** Marked in the charts: time of which the host's agent lost samples. */
  readonly gaps: readonly DeclaredGap[];
  /** Marked as well: what has happened. */
  readonly annotations: readonly Annotation[];
  /** Takes what the viewer records; null where the viewer may not. */
  readonly onAnnotate: ((annotation: Annotation) => void) | null;
  /** The host the dashboard is about, or null. */
  readonly agent: string | null;
  readonly themeChanges: number;
  readonly old: boolean;
  readonly kiosk: boolean;
}

const kioskTrends = 2;
/** Thresholds are drawn where a line shows the very measure a tile judges. */
const noLimits: Thresholds = { warn: null, crit: null };
const noData: TrendData = { lines: [], past: [], total: 0, first: 0, last: 0 };

export function Trends(props: TrendsProps): JSX.Element {
  const { dashboard, kiosk, rangeName, gaps, agent } = props;
  const [held, handlers] = useHold(!kiosk);
  const [cursor, setCursor] = useState<number | null>(null);
  const drawn = useDrawn(props, held);
  const annotations = useMemo(
    () => annotationsWithin(props.annotations, drawn.viewTo - dashboard.rangeMs, drawn.viewTo, agent),
    [props.annotations, drawn.viewTo, dashboard, agent],
  );
  const times = useMemo(() => timeMarks(gaps, annotations), [gaps, annotations]);
  const trends = (kiosk ? dashboard.trends.slice(0, kioskTrends) : dashboard.trends).filter((trend) => !drawn.unmeasured.has(trend.id));
  const absent = dashboard.trends.filter((trend) => drawn.unmeasured.has(trend.id)).map((trend) => trend.title);
  return (
    <section class="trends" aria-labelledby="trends-title">
      <header class="section-head">
        <h2 id="trends-title">{t.trendsLabel} <span class="meta">{t.lastRange(rangeName)}, {props.zone}</span></h2>
        <span class="held" data-held={held}>{held ? t.held : ""}</span>
        <Annotations shown={annotations} stepMs={dashboard.stepMs} nowMs={drawn.viewTo} onPoint={setCursor} onAnnotate={props.onAnnotate} />
      </header>
      <div class="trend-grid" {...handlers}>
        {trends.map((trend) => (
          <TrendChart
            key={trend.id}
            trend={trend}
            limits={dashboard.tiles.find((tile) => trend.lines.some((line) => line.query === tile.query)) ?? noLimits}
            data={drawn.data.get(trend.id) ?? noData}
            stepMs={dashboard.stepMs}
            viewTo={drawn.viewTo}
            rangeName={t.lastRange(rangeName)}
            backfill={props.backfill}
            times={times}
            annotations={annotations}
            themeChanges={props.themeChanges}
            old={props.old}
            cursor={cursor}
            onCursor={setCursor}
          />
        ))}
      </div>
      {absent.length > 0 && !kiosk && <p class="absent meta">{t.neverMeasured(absent)}</p>}
    </section>
  );
}

interface Drawn {
  readonly revision: number;
  readonly viewTo: number;
  readonly data: ReadonlyMap<string, TrendData>;
  /** Trends of what this host does not measure: they take no room. */
  readonly unmeasured: ReadonlySet<string>;
}

/** What the charts show: read anew with each revision, and kept while somebody looks closely. */
function useDrawn({ dashboard, grid, viewEnd, revision, viewTo, backfill }: TrendsProps, held: boolean): Drawn {
  const memory = useRef(new Map<string, TrendMemory>());
  const drawn = useRef<Drawn>({ revision: -1, viewTo: 0, data: new Map(), unmeasured: new Set() });
  if (held && drawn.current.revision >= 0) return drawn.current;
  if (drawn.current.revision !== revision) {
    const data = new Map<string, TrendData>();
    for (const trend of dashboard.trends) {
      const [next, remembered] = trendData(trend, grid, viewEnd, dashboard.rangeMs, memory.current.get(trend.id) ?? noMemory);
      memory.current.set(trend.id, remembered);
      data.set(trend.id, next);
    }
    const absent = backfill.kind === "loading" ? drawn.current.unmeasured : unmeasured(data, dashboard.stepMs);
    drawn.current = { revision, viewTo, data, unmeasured: absent };
  } else if (drawn.current.viewTo !== viewTo) {
    drawn.current = { ...drawn.current, viewTo };
  }
  return drawn.current;
}
