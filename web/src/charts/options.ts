import type uPlot from "uplot";
import { minuteTime } from "../format/time";
import type { Palette } from "./palette";

export interface ChartShape {
  readonly width: number;
  readonly height: number;
  /** Width of the column right of the plot, for the names of the lines. */
  readonly gutter: number;
  readonly strokes: readonly { readonly slot: number; readonly dashed: boolean }[];
  readonly palette: Palette;
  readonly formatY: (value: number) => string;
  readonly splitsY: () => number[];
  readonly rangeX: () => [number, number];
  readonly rangeY: () => [number, number];
  readonly onDraw: (u: uPlot) => void;
  readonly onCursor: (u: uPlot) => void;
}

/** The options of a chart; they change only with the set of lines, the theme or the size of the text. */
export function chartOptions(shape: ChartShape): uPlot.Options {
  const { palette } = shape;
  const em = palette.fontPx;
  const font = `${em}px ${palette.font}`;
  return {
    width: shape.width,
    height: shape.height,
    padding: [0.8 * em, shape.gutter, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: { size: 7, width: 2, fill: palette.surface },
    },
    scales: { x: { time: true, range: shape.rangeX }, y: { range: shape.rangeY } },
    axes: [
      {
        stroke: palette.text,
        font,
        size: 2.2 * em,
        gap: 4,
        space: 6.5 * em,
        grid: { show: false },
        ticks: { show: false },
        values: (_u, splits) => splits.map((s) => minuteTime(s * 1000)),
      },
      {
        stroke: palette.text,
        font,
        size: 3.6 * em,
        gap: 6,
        grid: { stroke: palette.grid, width: 1 },
        ticks: { show: false },
        splits: shape.splitsY,
        values: (_u, splits) => splits.map(shape.formatY),
      },
    ],
    series: [
      {},
      ...shape.strokes.map(({ slot, dashed }) => ({
        stroke: palette.series[slot] ?? palette.text,
        width: Math.max(1.5, 0.1 * em),
        ...(dashed && { dash: [0.3 * em, 0.3 * em], alpha: 0.7 }),
        spanGaps: false,
        points: { show: true, size: 3, filter: lonely },
      })),
    ],
    hooks: {
      draw: [shape.onDraw],
      setCursor: [shape.onCursor],
    },
  };
}

/** A value between two gaps makes no line: it is drawn as a point. */
function lonely(u: uPlot, series: number): number[] {
  const values = u.data[series] ?? [];
  const found: number[] = [];
  const missing = (i: number): boolean => typeof values[i] !== "number";
  for (let i = 0; i < values.length; i++) {
    if (!missing(i) && missing(i - 1) && missing(i + 1)) found.push(i);
  }
  return found;
}
