import type { JSX } from "preact";
import { t } from "../strings";
import { TileSkeleton } from "./Tile";

/** The page's shape before anything is known, so that nothing moves when it is. */
export function Skeleton(): JSX.Element {
  return (
    <div class="board" aria-busy="true" aria-label={t.loading}>
      <section class="strip"><div class="strip-main"><span class="bone bone-sentence" /></div><div class="exceptions" /></section>
      <section class="tiles">{Array.from({ length: 6 }, (_, i) => <TileSkeleton key={i} />)}</section>
      <section class="trends">
        <header class="section-head"><h2>{t.trendsLabel}</h2></header>
        <div class="trend-grid">{Array.from({ length: 4 }, (_, i) => <div key={i} class="trend skeleton"><span class="bone bone-caption" /><div class="plot" /></div>)}</div>
      </section>
    </div>
  );
}
