/** Moves labels apart so that none is closer than `gap` to its neighbour, as near to where they belong as that allows. */
export function spread(wanted: readonly number[], gap: number, low: number, high: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] ?? 0) - (wanted[b] ?? 0));
  const placed = new Array<number>(wanted.length).fill(0);
  let floor = low;
  for (const i of order) {
    const at = Math.max(wanted[i] ?? low, floor);
    placed[i] = at;
    floor = at + gap;
  }
  let ceiling = high;
  for (const i of order.reverse()) {
    const at = Math.min(placed[i] ?? high, ceiling);
    placed[i] = at;
    ceiling = at - gap;
  }
  return placed;
}

/** Shortens a text in its middle until it fits; the ends of host names tell them apart. */
export function fit(text: string, maxWidth: number, measure: (text: string) => number): string {
  if (measure(text) <= maxWidth) return text;
  for (let keep = text.length - 1; keep > 2; keep--) {
    const head = Math.ceil(keep / 2);
    const short = `${text.slice(0, head)}…${text.slice(text.length - (keep - head))}`;
    if (measure(short) <= maxWidth) return short;
  }
  return text.slice(0, 1);
}
