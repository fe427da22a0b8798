// The top of a value axis: a round number that widens at once and shrinks only after a while, so that the axis does not jump.

export interface SoftTop {
  readonly top: number;
  /** Since when a smaller top would do; null while it would not. */
  readonly smallSince: number | null;
}

const shrinkAfterMs = 60_000;
const headroom = 1.08;

/** The next round number at or above a value: 1, 2, 2.5 or 5 times a power of the base (1000, or 1024 for bytes). */
export function roundUp(value: number, base: number): number {
  if (value <= 0) return 1;
  const power = base ** Math.floor(Math.log(value) / Math.log(base));
  const lead = value / power;
  const ten = 10 ** Math.floor(Math.log10(lead));
  const nice = [1, 2, 2.5, 5, 10].find((step) => step * ten >= lead - 1e-9) ?? 10;
  return Math.min(nice * ten, base) * power;
}

/** How many equal parts of an axis from zero to a round top have round ends themselves. */
export function axisParts(top: number, base: number): number {
  const power = base ** Math.floor(Math.log(top) / Math.log(base) + 1e-9);
  const lead = Math.round((top / power / 10 ** Math.floor(Math.log10(top / power) + 1e-9)) * 10);
  return lead === 25 || lead === 50 ? 5 : 4;
}

export function softTop(previous: SoftTop | null, largest: number, nowMs: number, base: number): SoftTop {
  const wanted = roundUp(largest * headroom, base);
  if (previous === null || wanted > previous.top) return { top: wanted, smallSince: null };
  if (wanted > previous.top / 2) return { top: previous.top, smallSince: null };
  const since = previous.smallSince ?? nowMs;
  return nowMs - since >= shrinkAfterMs ? { top: wanted, smallSince: null } : { top: previous.top, smallSince: since };
}
