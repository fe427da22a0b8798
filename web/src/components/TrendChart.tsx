import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Thresholds, TrendDef } from "../api/types";
import { readPalette } from "../charts/palette";
import { Plot, type CursorAt, type PlotInput } from "../charts/plot";
import type { BackfillState } from "../data/backfill";
import { plain } from "../format/number";
import { ladder, pickScale } from "../format/scale";
import { summarize } from "../select/summary";
import type { TrendData } from "../select/trends";
import { t } from "../strings";
import { ChartIcon, TableIcon } from "./icons";
import { TrendTable } from "./TrendTable";

export interface TrendProps {
  readonly trend: TrendDef;
  readonly limits: Thresholds;
  readonly data: TrendData;
  readonly stepMs: number;
  readonly viewTo: number;
  readonly rangeName: string;
  readonly backfill: BackfillState;
  readonly themeChanges: number;
  readonly old: boolean;
}

export function TrendChart(props: TrendProps): JSX.Element {
  const { trend, data, rangeName, backfill } = props;
  const [asTable, setAsTable] = useState(false);
  const [cursor, setCursor] = useState<CursorAt | null>(null);
  const summary = summarize(trend, data);
  const titleId = `trend-${trend.id}`;
  const { unit } = pickScale(ladder(trend.format, trend.unit), trend.max ?? summary.peak);
  const shown = data.total > data.lines.length ? `${t.shownOf(data.lines.length, data.total)}: ` : "";
  const note = backfill.kind === "error" && !props.old ? t.historyFailed(backfill.message) : shown + summary.text;
  const empty = data.lines.every((line) => line.values.every(Number.isNaN));
  return (
    <figure class="trend" aria-labelledby={titleId} data-trend={trend.id} data-old={props.old}>
      <figcaption>
        <h3 id={titleId}>
          {trend.title}
          {unit !== "" && <span class="meta">, {unit}</span>}
        </h3>
        <button
          type="button"
          class="icon-button"
          aria-pressed={asTable}
          title={asTable ? t.showChart : t.showTable}
          onClick={() => {
            setAsTable(!asTable);
            setCursor(null);
          }}
        >
          {asTable ? <ChartIcon /> : <TableIcon />}
          <span class="sr">{t.showTable}</span>
        </button>
        <p class="readout">
          {cursor === null ? <span class="meta">{note}</span> : <Readout trend={trend} data={data} cursor={cursor} />}
        </p>
      </figcaption>
      {asTable ? (
        <TrendTable trend={trend} data={data} stepMs={props.stepMs} />
      ) : (
        <div class="plot-box">
          <Canvas {...props} label={t.chartAria(trend.title, rangeName, summary.text)} onCursor={setCursor} />
          {empty && <p class="plot-note">{backfill.kind === "loading" ? t.chartLoading : t.chartEmpty}</p>}
        </div>
      )}
    </figure>
  );
}

function Readout({ trend, data, cursor }: { readonly trend: TrendDef; readonly data: TrendData; readonly cursor: CursorAt }): JSX.Element {
  return (
    <>
      <time>{cursor.time}</time>
      {data.lines.map((line, i) => (
        <span key={line.id} class="readout-value">
          <i class={`key key-${line.slot + 1}`} aria-hidden="true" />
          {line.label} <b>{plain(cursor.values[i] ?? NaN, trend.format, trend.unit)}</b>
        </span>
      ))}
    </>
  );
}

interface CanvasProps extends TrendProps {
  readonly label: string;
  readonly onCursor: (at: CursorAt | null) => void;
}

function Canvas({ trend, limits, data, stepMs, viewTo, themeChanges, label, onCursor }: CanvasProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const visible = useRef(true);
  const newest = useRef<PlotInput>({ data, stepMs, viewTo });
  newest.current = { data, stepMs, viewTo };
  const shape = data.lines.map((line) => `${line.slot}${line.id}${line.label}`).join("\n");

  useLayoutEffect(() => {
    if (box.current === null) return undefined;
    const element = box.current;
    const made = new Plot(element, trend, limits, readPalette(element), newest.current, "trends", onCursor);
    plot.current = made;
    const resizes = new ResizeObserver(() => {
      made.resize(element.clientWidth, element.clientHeight);
    });
    const views = new IntersectionObserver((entries) => {
      visible.current = entries.at(-1)?.isIntersecting ?? true;
      if (visible.current) made.update(newest.current);
    });
    resizes.observe(element);
    views.observe(element);
    return () => {
      resizes.disconnect();
      views.disconnect();
      made.destroy();
      plot.current = null;
    };
    // The data of the moment fills a new chart; later data is fed below.
  }, [shape, themeChanges, trend]);

  useEffect(() => {
    if (visible.current) plot.current?.update(newest.current);
  }, [data, viewTo]);

  const press = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60 }[event.key];
    if (by !== undefined) plot.current?.moveCursor(by * (event.shiftKey ? 10 : 1));
    else if (event.key === "Escape") plot.current?.hideCursor();
    else return;
    event.preventDefault();
  };
  return <div ref={box} class="plot" role="img" aria-label={label} aria-description={t.chartHelp} tabIndex={0} onKeyDown={press} />;
}
