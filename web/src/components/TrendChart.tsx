import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Annotation, Thresholds, TrendDef } from "../api/types";
import { readPalette } from "../charts/palette";
import { Plot, type PlotInput } from "../charts/plot";
import type { TimeMark } from "../charts/times";
import type { BackfillState } from "../data/backfill";
import { plain } from "../format/number";
import { ladder, pickScale, type Scale } from "../format/scale";
import { clockTime } from "../format/time";
import { annotationsAt, annotationsSummary } from "../select/annotations";
import { summarize } from "../select/summary";
import type { TrendData } from "../select/trends";
import { t } from "../strings";
import { AnnotationMark, ChartIcon, TableIcon } from "./icons";
import { TrendTable } from "./TrendTable";

export interface TrendProps {
  readonly trend: TrendDef;
  readonly limits: Thresholds;
  readonly data: TrendData;
  readonly stepMs: number;
  readonly viewTo: number;
  readonly rangeName: string;
  readonly backfill: BackfillState;
  readonly times: readonly TimeMark[];
  /** What has happened in the time shown. */
  readonly annotations: readonly Annotation[];
  readonly themeChanges: number;
  readonly old: boolean;
  /** End of the window the cursor of all charts stands at, or null. */
  readonly cursor: number | null;
  readonly onCursor: (end: number | null) => void;
}

export function TrendChart(props: TrendProps): JSX.Element {
  const { trend, data, rangeName, backfill, annotations } = props;
  const [asTable, setAsTable] = useState(false);
  const cursor = props.cursor !== null && props.cursor >= data.first && props.cursor <= data.last ? props.cursor : null;
  const summary = useMemo(() => summarize(trend, data), [trend, data]);
  const titleId = `trend-${trend.id}`;
  const kept = useRef<Scale>(undefined);
  const scale = pickScale(ladder(trend.format, trend.unit), trend.max ?? summary.peak, kept.current);
  kept.current = scale;
  const shown = data.total > data.lines.length ? `${t.shownOf(data.lines.length, data.total)}, ` : "";
  const note = backfill.kind === "error" && !props.old ? t.historyFailed(backfill.message) : shown + summary.short;
  const empty = data.lines.every((line) => line.values.every(Number.isNaN));
  return (
    <figure class="trend" aria-labelledby={titleId} data-trend={trend.id} data-old={props.old}>
      <figcaption>
        <h3 id={titleId}>
          {trend.title}
          {scale.unit !== "" && <span class="meta">, {scale.unit}</span>}
          {trend.compare !== null && data.past.length > 0 && <span class="meta">, {t.dashed(t.shift[trend.compare])}</span>}
        </h3>
        <button
          type="button"
          class="icon-button"
          aria-pressed={asTable}
          title={asTable ? t.showChart : t.showTable}
          onClick={() => {
            setAsTable(!asTable);
          }}
        >
          {asTable ? <ChartIcon /> : <TableIcon />}
          <span class="sr">{t.showTable}</span>
        </button>
        <p class="readout">
          {cursor === null ? <span class="meta">{note}</span> : <Readout trend={trend} data={data} stepMs={props.stepMs} end={cursor} annotations={annotations} />}
        </p>
      </figcaption>
      {asTable ? (
        <TrendTable trend={trend} data={data} stepMs={props.stepMs} annotations={annotations} />
      ) : (
        <div class="plot-box">
          <Canvas {...props} cursor={cursor} scale={scale} label={t.chartAria(trend.title, rangeName, summary.text, annotationsSummary(annotations))} />
          {empty && <p class="plot-note">{backfill.kind === "loading" ? t.chartLoading : t.chartEmpty}</p>}
        </div>
      )}
    </figure>
  );
}

interface ReadoutProps {
  readonly trend: TrendDef;
  readonly data: TrendData;
  readonly stepMs: number;
  readonly end: number;
  readonly annotations: readonly Annotation[];
}

/** This part of a chart's width is near enough for a pointer. */
const nearPart = 1 / 120;

function Readout({ trend, data, stepMs, end, annotations }: ReadoutProps): JSX.Element {
  const index = Math.round((end - data.first) / stepMs);
  const [newest, ...others] = annotationsAt(annotations, end, stepMs, (data.last - data.first) * nearPart);
  return (
    <>
      <time>{clockTime(end)}</time>
      {newest !== undefined && (
        <span class="readout-event">
          <AnnotationMark kind={newest.kind} />
          <span>{newest.title}</span>
          {others.length > 0 && t.andMore(others.length)}
        </span>
      )}
      {[...data.lines, ...data.past].map((line) => (
        <span key={line.id} class="readout-value">
          <i class={`key key-${line.slot + 1}`} aria-hidden="true" />
          {line.label} <b>{plain(line.values[index] ?? NaN, trend.format, trend.unit)}</b>
        </span>
      ))}
    </>
  );
}

interface CanvasProps extends TrendProps {
  readonly label: string;
  readonly scale: Scale;
}

function Canvas({ trend, limits, data, stepMs, viewTo, times, themeChanges, label, scale, cursor, onCursor }: CanvasProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const visible = useRef(true);
  const newest = useRef<PlotInput>({ data, stepMs, viewTo, times, scale });
  newest.current = { data, stepMs, viewTo, times, scale };
  const shape = [...data.lines, ...data.past].map((line) => `${line.slot}${line.id}${line.label}`).join("\n");

  useLayoutEffect(() => {
    if (box.current === null) return undefined;
    const element = box.current;
    const made = new Plot(element, trend, limits, readPalette(element), newest.current, onCursor);
    plot.current = made;
    const resizes = new ResizeObserver(() => {
      made.resize(element.clientWidth, element.clientHeight);
    });
    const views = new IntersectionObserver((entries) => {
      visible.current = entries.at(-1)?.isIntersecting ?? true;
      if (visible.current) made.update(newest.current);
    });
    // Paper shows what the screen does not.
    const print = (): void => {
      made.update(newest.current);
    };
    addEventListener("beforeprint", print);
    resizes.observe(element);
    views.observe(element);
    return () => {
      removeEventListener("beforeprint", print);
      resizes.disconnect();
      views.disconnect();
      made.destroy();
      plot.current = null;
    };
    // The data of the moment fills a new chart; later data is fed below.
  }, [shape, themeChanges, trend]);

  useEffect(() => {
    if (visible.current) plot.current?.update(newest.current);
  }, [data, viewTo, times]);

  useEffect(() => {
    plot.current?.showCursor(cursor);
  }, [cursor, shape, themeChanges, trend]);

  const press = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60 }[event.key];
    if (by !== undefined) {
      const end = (cursor ?? data.last + stepMs) + by * (event.shiftKey ? 10 : 1) * stepMs;
      onCursor(Math.min(data.last, Math.max(data.first, end)));
    } else if (event.key === "Escape") onCursor(null);
    else return;
    event.preventDefault();
  };
  return <div ref={box} class="plot" role="img" aria-label={label} aria-description={t.chartHelp} tabIndex={0} onKeyDown={press} />;
}
