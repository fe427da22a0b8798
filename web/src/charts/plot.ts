// One uPlot instance and what it draws from: made once, fed each tick, and made anew only for other lines or colours.
import uPlot from "uplot";
import { show } from "../format/number";
import type { Scale } from "../format/scale";
import type { Thresholds, TrendDef } from "../api/types";
import type { Line, TrendData } from "../select/trends";
import { t } from "../strings";
import { drawEndLabels, drawHatch, drawMarks, labelFont, labelIndent, type Mark } from "./draw";
import { chartOptions } from "./options";
import type { Palette } from "./palette";
import { axisParts, softTop, type SoftTop } from "./range";
import { drawTimes, type TimeMark } from "./times";

export interface PlotInput {
  readonly data: TrendData;
  readonly stepMs: number;
  /** Of the value axis. */
  readonly scale: Scale;
  /** Right edge of the time axis; later than the newest window once data is late. */
  readonly viewTo: number;
  /** Lost samples, and what has happened. */
  readonly times: readonly TimeMark[];
}

export class Plot {
  readonly #u: uPlot;
  readonly #trend: TrendDef;
  readonly #axisBase: number;
  #input: PlotInput;
  #top: SoftTop | null = null;
  #cursor: number | null = null;
  #pointed = false;

  constructor(
    box: HTMLElement,
    trend: TrendDef,
    limits: Thresholds,
    palette: Palette,
    input: PlotInput,
    onPoint: (end: number | null) => void,
  ) {
    this.#trend = trend;
    this.#input = input;
    this.#axisBase = trend.format === "bytes" ? 1024 : 1000;
    const gutter = gutterFor(box, input.data.lines.map((line) => line.label), palette);
    const marks: Mark[] = [];
    if (limits.warn !== null) marks.push({ value: limits.warn, word: t.warnLine, color: palette.warn });
    if (limits.crit !== null) marks.push({ value: limits.crit, word: t.critLine, color: palette.crit });
    this.#refit();
    const options = chartOptions({
      width: box.clientWidth,
      height: box.clientHeight,
      gutter,
      strokes: drawn(input.data).map((line) => ({ slot: line.slot, dashed: input.data.past.includes(line) })),
      palette,
      formatY: (value) => this.#axisText(value),
      splitsY: () => this.#splits(),
      rangeX: () => this.#rangeX(),
      rangeY: () => [this.#low, this.#high],
      onDraw: (u) => {
        drawMarks(u, marks, palette);
        const { data, stepMs, viewTo, times } = this.#input;
        drawTimes(u, times, palette);
        if (viewTo - data.last > 2 * stepMs) drawHatch(u, data.last / 1000, palette);
        drawEndLabels(
          u,
          data.lines.map((line) => ({ text: line.label, slot: line.slot, value: lastKnown(line.values) })),
          palette,
          gutter - labelIndent * palette.fontPx,
        );
        this.#placeCursor(u);
      },
      onCursor: (u) => {
        const seconds = u.data[0][u.cursor.idx ?? -1];
        if (this.#pointed) onPoint(seconds === undefined ? null : seconds * 1000);
      },
    });
    this.#u = new uPlot(options, this.#columns(), box);
    this.#u.root.setAttribute("aria-hidden", "true");
    this.#u.over.addEventListener("mouseenter", () => {
      this.#pointed = true;
    });
    this.#u.over.addEventListener("mouseleave", () => {
      this.#pointed = false;
      onPoint(null);
    });
  }

  update(input: PlotInput): void {
    this.#input = input;
    this.#refit();
    this.#u.setData(this.#columns());
  }

  resize(width: number, height: number): void {
    if (width > 0 && height > 0 && (width !== this.#u.width || height !== this.#u.height)) this.#u.setSize({ width, height });
  }

  /** Stands the cursor at a window's end, and keeps it there while the data moves on; null takes it away. */
  showCursor(end: number | null): void {
    this.#cursor = end;
    this.#placeCursor(this.#u);
  }

  /** Under a pointer the cursor is the pointer's. */
  #placeCursor(u: uPlot): void {
    if (this.#pointed) return;
    const left = this.#cursor === null ? -10 : u.valToPos(this.#cursor / 1000, "x");
    u.setCursor({ left, top: left < 0 ? -10 : u.over.clientHeight / 2 }, false);
  }

  destroy(): void {
    this.#u.destroy();
  }

  get #low(): number {
    const lowest = drawn(this.#input.data).reduce((low, line) => line.values.reduce((l, v) => (v < l ? v : l), low), 0);
    return lowest * 1.08;
  }

  get #high(): number {
    return this.#trend.max ?? this.#top?.top ?? 1;
  }

  #rangeX(): [number, number] {
    const { data, viewTo, stepMs } = this.#input;
    const range = data.last - data.first;
    const to = Math.max(viewTo, data.last, stepMs);
    return [(to - range) / 1000, to / 1000];
  }

  #refit(): void {
    const largest = drawn(this.#input.data).reduce((high, line) => line.values.reduce((h, v) => (v > h ? v : h), high), 0);
    this.#top = softTop(this.#top, largest, this.#input.viewTo, this.#axisBase);
  }

  #splits(): number[] {
    const low = this.#low;
    const parts = axisParts(this.#high, this.#axisBase);
    return Array.from({ length: parts + 1 }, (_, i) => low + ((this.#high - low) * i) / parts);
  }

  #axisText(value: number): string {
    const inUnit = value / this.#input.scale.factor;
    return show(Math.round(inUnit * 1000) / 1000, "number", { factor: 1, unit: "" }).text.replace(/([.,]\d)0$/, "$1");
  }

  #columns(): uPlot.AlignedData {
    const { data, stepMs } = this.#input;
    const count = data.lines[0]?.values.length ?? 0;
    const x = Float64Array.from({ length: count }, (_, i) => (data.first + i * stepMs) / 1000);
    return [x, ...drawn(data).map((line) => Array.from(line.values, (v) => (Number.isNaN(v) ? null : v)))] as uPlot.AlignedData;
  }
}

/** The lines in the order they are drawn: the first one last, so that none lies on it, and the past below the present. */
const drawn = (data: TrendData): Line[] => [...data.lines, ...data.past].reverse();

/** The room the names of the lines need, but no more than a quarter of the chart. */
function gutterFor(box: HTMLElement, labels: readonly string[], palette: Palette): number {
  // A canvas takes the features of its font (digits of equal width) from the page only while it is part of it.
  const canvas = box.appendChild(document.createElement("canvas"));
  const ctx = canvas.getContext("2d");
  if (ctx !== null) ctx.font = labelFont(1, palette);
  const widest = Math.max(0, ...labels.map((label) => ctx?.measureText(label).width ?? 0));
  canvas.remove();
  return Math.ceil(Math.min(widest + 2, box.clientWidth / 4) + labelIndent * palette.fontPx);
}

/** The newest value of a line, if it is not older than a twelfth of what is shown. */
function lastKnown(values: Float64Array): number {
  const index = values.findLastIndex((v) => !Number.isNaN(v));
  return values.length - 1 - index > values.length / 12 ? NaN : (values[index] ?? NaN);
}
