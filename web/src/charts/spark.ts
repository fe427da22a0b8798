import { highest, lowest } from "../select/tiles";

export interface SparkPath {
  readonly line: string;
  /** Where the newest value is; null where the last window has none. */
  readonly last: { readonly x: number; readonly y: number } | null;
  readonly band: { readonly y: number; readonly height: number } | null;
}

/** The path of a sparkline in a box of `width` by `height`: a gap lifts the pen. It shows the shape, not the size. */
export function sparkPath(
  values: Float64Array,
  normal: { readonly low: number; readonly high: number } | null,
  width: number,
  height: number,
): SparkPath {
  const known = values.filter((v) => !Number.isNaN(v));
  if (known.length === 0) return { line: "", last: null, band: null };
  const least = Math.min(lowest(known), normal?.low ?? Infinity);
  const most = Math.max(highest(known), normal?.high ?? -Infinity);
  // A nearly flat line stays flat: at least a tenth of its size makes the height.
  const spare = Math.max(0, Math.max(1e-12, 0.1 * Math.abs(most)) - (most - least)) / 2;
  const low = least - spare;
  const high = most + spare;
  const x = (i: number): number => round((i / Math.max(1, values.length - 1)) * width);
  const y = (v: number): number => round(height - ((v - low) / (high - low)) * height);
  let line = "";
  let down = false;
  values.forEach((v, i) => {
    if (Number.isNaN(v)) {
      down = false;
      return;
    }
    line += `${down ? "L" : "M"}${x(i)} ${y(v)}`;
    down = true;
  });
  const newest = values.at(-1) ?? NaN;
  return {
    line,
    last: Number.isNaN(newest) ? null : { x: width, y: y(newest) },
    band: normal === null ? null : { y: y(normal.high), height: Math.max(1, y(normal.low) - y(normal.high)) },
  };
}

const round = (v: number): number => Math.round(v * 10) / 10;
