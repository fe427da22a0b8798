// A chart in one sentence, for those who cannot see it and those who only glance.
import type { TrendDef } from "../api/types";
import { plain } from "../format/number";
import { ladder, pickScale } from "../format/scale";
import { clockTime } from "../format/time";
import { t } from "../strings";
import type { TrendData } from "./trends";

export interface Summary {
  readonly text: string;
  readonly peak: number;
}

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
  if (peak === -Infinity) return { text: t.chartEmpty, peak: 0 };
  const scale = pickScale(ladder(trend.format, trend.unit), peak);
  const text = (value: number): string => plain(value, trend.format, trend.unit, scale);
  const windows = data.lines[0]?.values.length ?? 1;
  const stepMs = windows > 1 ? (data.last - data.first) / (windows - 1) : 0;
  const newest = data.lines.map((line) => [line.label, line.values.findLast((v) => !Number.isNaN(v)) ?? NaN] as const);
  const single = newest.length === 1 ? newest[0] : undefined;
  const now = single === undefined ? t.summaryLines(newest.map(([label, value]) => t.summaryNow(label, text(value)))) : text(single[1]);
  return { text: t.summary(now, text(peak), clockTime(data.first + peakAt * stepMs)), peak };
}
