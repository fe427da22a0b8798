import { token } from "../lib/theme";

/** The design tokens a canvas needs, read anew whenever the theme changes. */
export interface Palette {
  readonly text: string;
  readonly label: string;
  readonly grid: string;
  readonly hatch: string;
  readonly warn: string;
  readonly crit: string;
  readonly surface: string;
  readonly font: string;
  /** Size of the chart's text, in CSS pixels. */
  readonly fontPx: number;
  readonly series: readonly string[];
}

/** `box` is the chart's element: its size of text is the chart's. */
export function readPalette(box: Element): Palette {
  return {
    text: token("text-meta"),
    label: token("text-label"),
    grid: token("chart-grid"),
    hatch: token("hatch"),
    warn: token("warn"),
    crit: token("crit"),
    surface: token("surface"),
    font: token("font"),
    fontPx: parseFloat(getComputedStyle(box).fontSize) || 11,
    series: [1, 2, 3, 4, 5].map((n) => token(`series-${n}`)),
  };
}
