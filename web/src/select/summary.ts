// A chart in one sentence, for those who cannot see it and those who only glance.
import type { TrendDef } from "../api/types";
import { plain } from "../format/number";
import { ladder, pickScale } from "../format/scale";
import { clockTime, minuteTime } from "../format/time";
import { t } from "../strings";
import type { TrendData } from "./trends";

export interface Summary {
  readonly text: string;
  /** The same for the eye, without the lines' values where they would not fit. */
  readonly short: string;
  readonly peak: number;
}

/** Characters that have room beside a title. */
const fitting = 60;

export function summarize(trend: TrendDef, data: TrendData): Summary {
  let peak = -Infinity;
  let peakAt = 0;
  for (const line of data.lines) {
    line.values.forEach((value, i) => {
      if (value <= peak || Number.isNaN(value)) return;
      peak = value;
      peakAt = i;
    });
  }
  if (peak === -Infinity) return { text: t.chartEmpty, short: t.chartEmpty, peak: 0 };
  const scale = pickScale(ladder(trend.format, trend.unit), peak);
  const text = (value: number): string => plain(value, trend.format, trend.unit, scale);
  const windows = data.lines[0]?.values.length ?? 1;
  const stepMs = windows > 1 ? (data.last - data.first) / (windows - 1) : 0;
  const newest = data.lines.map((line) => [line.label, line.values.findLast((v) => !Number.isNaN(v)) ?? NaN] as const);
  const single = newest.length === 1 ? newest[0] : undefined;
  const each = t.summaryLines(newest.map(([label, value]) => t.summaryNow(label, text(value))));
  const now = single === undefined ? each : text(single[1]);
  const at = data.first + peakAt * stepMs;
  const brief = t.summaryPeak(text(peak), minuteTime(at));
  const full = `${single === undefined ? each : t.summaryNow(t.now, now)}, ${brief}`;
  return {
    text: t.summary(now, text(peak), clockTime(at)),
    short: full.length > fitting ? brief : full,
    peak,
  };
}
