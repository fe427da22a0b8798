// Is this live? Decided from the end of the newest window and the hub's clock, never from when a message arrived,
// so that the label goes on ageing when nothing comes.

/** Whether the stream is open, being opened for the first time, lost and tried again, or the device without a network. */
export type Link = "opening" | "open" | "lost" | "offline";

export type Freshness =
  | { readonly kind: "connecting" }
  | { readonly kind: "waiting" }
  | { readonly kind: "live"; readonly ageMs: number }
  | { readonly kind: "delayed"; readonly ageMs: number }
  | { readonly kind: "reconnecting"; readonly ageMs: number | null }
  | { readonly kind: "stale"; readonly sinceMs: number; readonly lost: boolean }
  | { readonly kind: "offline"; readonly ageMs: number | null };

export interface FreshnessInput {
  readonly nowMs: number;
  /** End of the newest window that held data, or 0. */
  readonly newestMs: number;
  readonly stepMs: number;
  readonly link: Link;
}

/** A window closes half a second after its end, travels, and the next one follows a step later: that much age is live. */
export function delayedAfterMs(stepMs: number): number {
  return Math.max(3_000, 2.5 * stepMs);
}

export function staleAfterMs(stepMs: number): number {
  return Math.max(30_000, 10 * stepMs);
}

export function freshness({ nowMs, newestMs, stepMs, link }: FreshnessInput): Freshness {
  if (newestMs === 0) {
    if (link === "offline") return { kind: "offline", ageMs: null };
    if (link === "lost") return { kind: "reconnecting", ageMs: null };
    return { kind: link === "open" ? "waiting" : "connecting" };
  }
  const ageMs = Math.max(0, nowMs - newestMs);
  // A browser may call itself offline and yet reach a hub on its own machine: what comes counts, not what it says.
  if (ageMs <= delayedAfterMs(stepMs)) return { kind: "live", ageMs };
  if (link === "offline") return { kind: "offline", ageMs };
  if (ageMs > staleAfterMs(stepMs)) return { kind: "stale", sinceMs: newestMs, lost: link !== "open" };
  return { kind: link === "open" ? "delayed" : "reconnecting", ageMs };
}

/** Values this old are shown, but marked as no longer the state of things. */
export function isOld(f: Freshness): boolean {
  return f.kind === "stale" || f.kind === "reconnecting" || f.kind === "offline";
}
