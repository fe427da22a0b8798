import type { Format } from "../api/types";
import { t } from "../strings";
import { ladder, pickScale, type Scale } from "./scale";

/** A number ready to be shown: digits and unit apart, so that the unit can be quieter. */
export interface Shown {
  readonly text: string;
  readonly unit: string;
}

const formatters = new Map<string, Intl.NumberFormat>();

function fixed(digits: number, signed = false): Intl.NumberFormat {
  const key = `${digits}${signed ? "+" : ""}`;
  let made = formatters.get(key);
  if (made === undefined) {
    made = new Intl.NumberFormat(undefined, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      signDisplay: signed ? "exceptZero" : "auto",
    });
    formatters.set(key, made);
  }
  return made;
}

/** Decimals that make three significant digits, counting after the rounding: 9.996 is 10.0, not 10.00. */
export function decimals(value: number): number {
  const size = Math.abs(value);
  if (size >= 99.95) return 0;
  return size >= 9.995 ? 1 : 2;
}

function digitsFor(value: number, format: Format, scale: Scale): number {
  if (value === 0) return 0;
  if (format === "percent") return Math.abs(value / scale.factor) >= 99.95 ? 0 : 1;
  if (scale.factor === 1 && Number.isInteger(value)) return 0;
  return decimals(value / scale.factor);
}

/** Three significant digits in the given scale. NaN is what we do not know. */
export function show(value: number, format: Format, scale: Scale): Shown {
  if (Number.isNaN(value)) return { text: t.noData, unit: "" };
  return { text: fixed(digitsFor(value, format, scale)).format(value / scale.factor), unit: scale.unit };
}

/** The same in one string, in the scale that fits. */
export function plain(value: number, format: Format, unit: string, scale?: Scale): string {
  const shown = show(value, format, scale ?? pickScale(ladder(format, unit), value));
  return shown.unit === "" ? shown.text : `${shown.text}\u202f${shown.unit}`;
}

/** A count with all its digits: "1,240". */
export const full = (count: number): string => fixed(0).format(count);

/** Every digit there is, for tooltips: "12,345,678 B". */
export function exact(value: number, format: Format, unit: string): string {
  if (Number.isNaN(value)) return t.noData;
  const base = format === "percent" ? { factor: 0.01, unit: "%" } : (ladder(format, unit).find((s) => s.factor === 1) ?? { factor: 1, unit });
  const digits = Number.isInteger(value / base.factor) ? 0 : 3;
  return `${fixed(digits).format(value / base.factor)} ${base.unit}`.trimEnd();
}

/** With its sign, and a minus as wide as a plus. */
export function signed(value: number): string {
  return fixed(Math.min(1, decimals(value)), true).format(value).replace("-", "\u2212");
}
