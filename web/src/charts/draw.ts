// What uPlot does not draw by itself: names at the ends of lines, thresholds, and the hatched part nobody has data for. Marked times are in times.ts.
import type uPlot from "uplot";
import { fit, spread } from "./labels";
import type { Palette } from "./palette";

export interface EndLabel {
  readonly text: string;
  readonly slot: number;
  /** Value the line ends at; NaN where it has none. */
  readonly value: number;
}

export interface Mark {
  readonly value: number;
  readonly word: string;
  readonly color: string;
}

/** Room left of a label, for the stroke in the line's colour; in ems. */
export const labelIndent = 1.8;

export function labelFont(ratio: number, palette: Palette): string {
  return `500 ${palette.fontPx * ratio}px ${palette.font}`;
}

export function drawEndLabels(u: uPlot, labels: readonly EndLabel[], palette: Palette, widthPx: number): void {
  const known = labels.filter((label) => !Number.isNaN(label.value));
  const { ctx } = u;
  const ratio = devicePixelRatio;
  const x = u.bbox.left + u.bbox.width;
  const em = palette.fontPx * ratio;
  const gap = 1.27 * em;
  const places = spread(
    known.map((label) => u.valToPos(label.value, "y", true)),
    gap,
    u.bbox.top + gap / 2,
    u.bbox.top + u.bbox.height - gap / 4,
  );
  ctx.save();
  ctx.font = labelFont(ratio, palette);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const measure = (text: string): number => ctx.measureText(text).width;
  known.forEach((label, i) => {
    const y = places[i] ?? 0;
    ctx.strokeStyle = palette.series[label.slot] ?? palette.text;
    ctx.lineWidth = 0.2 * em;
    ctx.beginPath();
    ctx.moveTo(x + 0.5 * em, y);
    ctx.lineTo(x + 1.3 * em, y);
    ctx.stroke();
    ctx.fillStyle = palette.label;
    ctx.fillText(fit(label.text, widthPx * ratio, measure), x + labelIndent * em, y);
  });
  ctx.restore();
}

export function drawMarks(u: uPlot, marks: readonly Mark[], palette: Palette): void {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${0.9 * palette.fontPx * ratio}px ${palette.font}`;
  ctx.textBaseline = "top";
  ctx.lineWidth = ratio;
  ctx.textAlign = "left";
  ctx.setLineDash([4 * ratio, 4 * ratio]);
  for (const mark of marks) {
    const y = Math.round(u.valToPos(mark.value, "y", true)) + 0.5;
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = mark.color;
    ctx.fillStyle = mark.color;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.save();
    ctx.setLineDash([]);
    ctx.lineWidth = 4 * ratio;
    ctx.strokeStyle = palette.surface;
    ctx.strokeText(mark.word, bbox.left + 4 * ratio, y + 3 * ratio);
    ctx.fillText(mark.word, bbox.left + 4 * ratio, y + 3 * ratio);
    ctx.restore();
  }
  ctx.restore();
}

/** Hatches the time from `fromS` (seconds) to the right edge. */
export function drawHatch(u: uPlot, fromS: number, palette: Palette): void {
  const { ctx, bbox } = u;
  const left = Math.max(bbox.left, u.valToPos(fromS, "x", true));
  const right = bbox.left + bbox.width;
  if (right - left < 2) return;
  const step = 7 * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, bbox.top, right - left, bbox.height);
  ctx.clip();
  ctx.strokeStyle = palette.hatch;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (let x = left - bbox.height; x < right; x += step) {
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x + bbox.height, bbox.top);
  }
  ctx.stroke();
  ctx.restore();
}
