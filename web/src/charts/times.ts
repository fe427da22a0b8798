// Times marked in a chart: samples that are lost, and what has happened.
import type uPlot from "uplot";
import { fit } from "./labels";
import type { Palette } from "./palette";

export interface TimeMark {
  /** In ms; equal for a moment. */
  readonly from: number;
  readonly to: number;
  readonly word: string;
  readonly tone: "lost" | "incident" | "event";
}

/** Widths in ems: a word is cut to the one, and left out where there is less than the other. */
const widest = 14;
const narrowest = 4;

/** Draws each as a band with its word under the top, where there is room for it; what has happened begins with a line. */
export function drawTimes(u: uPlot, marks: readonly TimeMark[], palette: Palette): void {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  const end = bbox.left + bbox.width;
  const colors = { lost: palette.warn, incident: palette.crit, event: palette.text };
  const newestFirst = marks
    .map((mark) => {
      const left = Math.round(u.valToPos(mark.from / 1000, "x", true));
      return { ...mark, left, right: Math.max(left + 2 * ratio, u.valToPos(mark.to / 1000, "x", true)) };
    })
    .filter(({ left, right }) => right >= bbox.left && left <= end)
    .sort((a, b) => b.from - a.from);
  ctx.save();
  ctx.font = `${0.9 * palette.fontPx * ratio}px ${palette.font}`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const mark of newestFirst) {
    ctx.fillStyle = colors[mark.tone];
    drawBand(u, mark);
  }
  let free = end;
  for (const { word, left, tone } of newestFirst) {
    ctx.fillStyle = colors[tone];
    free = drawWord(u, word, left, free, palette);
  }
  ctx.restore();
}

/** Writes a word right of a place, or else left of it, in the colour that is set; returns where the free room ends now. */
function drawWord({ ctx, bbox }: uPlot, word: string, place: number, free: number, palette: Palette): number {
  const ratio = devicePixelRatio;
  const em = 0.9 * palette.fontPx * ratio;
  const gap = 4 * ratio;
  const measure = (text: string): number => ctx.measureText(text).width;
  const wanted = Math.min(measure(word), widest * em);
  const least = Math.min(wanted, narrowest * em);
  // Of one that began before the chart does, the word stands at the chart's edge.
  const after = Math.max(place, bbox.left) + gap;
  const before = place - gap;
  const rightwards = free - gap - after >= least;
  // Where the word of a newer one lies over the place, another would seem to be of that one.
  if (!rightwards && (place > free || before - bbox.left < wanted)) return Math.min(free, place);
  const text = fit(word, rightwards ? Math.min(wanted, free - gap - after) : wanted, measure);
  const x = rightwards ? after : before - measure(text);
  ctx.lineWidth = 4 * ratio;
  ctx.lineJoin = "round";
  ctx.strokeStyle = palette.surface;
  ctx.strokeText(text, x, bbox.top + 5 * ratio);
  ctx.fillText(text, x, bbox.top + 5 * ratio);
  return Math.min(x, place);
}

function drawBand({ ctx, bbox }: uPlot, mark: TimeMark & { readonly left: number; readonly right: number }): void {
  const { left, right, tone } = mark;
  const ratio = devicePixelRatio;
  if (tone === "lost" || mark.to > mark.from) {
    ctx.globalAlpha = tone === "lost" ? 0.16 : 0.1;
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.globalAlpha = 1;
    ctx.fillRect(left, bbox.top, right - left, 3 * ratio);
  }
  if (tone === "lost") return;
  ctx.fillRect(left, bbox.top, ratio, bbox.height);
  // A pennant: what has happened is seen where lines cross it, too.
  ctx.beginPath();
  ctx.moveTo(left - 3 * ratio, bbox.top);
  ctx.lineTo(left + 4 * ratio, bbox.top);
  ctx.lineTo(left + 0.5 * ratio, bbox.top + 6 * ratio);
  ctx.fill();
}
