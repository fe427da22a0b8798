// How a tile compares with the period before. Shares are compared in points, all else in per cent.
import type { Better, Format } from "../api/types";
import { signed } from "./number";

export type Delta =
  | { readonly kind: "unknown" }
  | {
      readonly kind: "known";
      readonly direction: "up" | "down" | "flat";
      /** Signed, with its unit: "+4.2 %" or "−0.6 pt". */
      readonly text: string;
      readonly tone: "good" | "bad" | "neutral";
    };

/** Changes smaller than this part of the value are noise, and not coloured. */
const noise = 0.02;

/** Per cent; more is as good as new. */
const most = 999;

export function delta(current: number | null, previous: number | null, format: Format, better: Better): Delta {
  if (current === null || previous === null) return { kind: "unknown" };
  const points = format === "percent";
  if (!points && previous === 0) return { kind: "unknown" };
  const change = points ? (current - previous) * 100 : ((current - previous) / Math.abs(previous)) * 100;
  const text = change > most ? `>+${most}\u202f%` : `${signed(change)}\u202f${points ? "pt" : "%"}`;
  const rounded = Math.round(change * 10);
  const direction = rounded === 0 ? "flat" : rounded > 0 ? "up" : "down";
  const notable = Math.abs(current - previous) > noise * Math.max(Math.abs(current), Math.abs(previous));
  const good = (direction === "up") === (better === "higher");
  const tone = better === "none" || direction === "flat" || !notable ? "neutral" : good ? "good" : "bad";
  return { kind: "known", direction, text, tone };
}
