// Which unit a number is shown in. A tile keeps its unit until the number has clearly left it, so that k and M do not flicker.
import type { Format } from "../api/types";

export interface Scale {
  readonly factor: number;
  readonly unit: string;
}

const decimal = (unit: string): Scale[] =>
  ["", "k", "M", "G", "T", "P"].map((prefix, i) => ({ factor: 1000 ** i, unit: prefix + unit }));

const ladders: Readonly<Record<Exclude<Format, "number">, readonly Scale[]>> = {
  percent: [{ factor: 0.01, unit: "%" }],
  bytes: ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].map((unit, i) => ({ factor: 1024 ** i, unit })),
  bytes_per_second: decimal("B/s"),
  duration: [
    { factor: 1e-6, unit: "µs" },
    { factor: 1e-3, unit: "ms" },
    { factor: 1, unit: "s" },
    { factor: 60, unit: "min" },
    { factor: 3600, unit: "h" },
    { factor: 86_400, unit: "d" },
  ],
};

/** The units a format can be shown in, smallest first. `unit` is UCUM: "1" and {annotations} have no symbol. */
export function ladder(format: Format, unit: string): readonly Scale[] {
  if (format !== "number") return ladders[format];
  return decimal(unit === "1" || unit.startsWith("{") ? "" : unit);
}

/** Picks the step of the ladder for a magnitude: up at 1.1 times its size, and back at 0.9 times. */
export function pickScale(steps: readonly Scale[], magnitude: number, previous?: Scale): Scale {
  const size = Math.abs(magnitude);
  const plain = (limit: number): Scale => steps.findLast((step) => size >= step.factor * limit) ?? steps[0] ?? { factor: 1, unit: "" };
  if (previous === undefined || !steps.includes(previous)) return plain(1);
  const up = plain(1.1);
  if (up.factor > previous.factor) return up;
  const down = plain(0.9);
  return down.factor < previous.factor ? down : previous;
}
