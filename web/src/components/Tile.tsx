import type { JSX } from "preact";
import { sparkPath } from "../charts/spark";
import type { Delta } from "../format/delta";
import type { TileView } from "../select/tiles";
import { t } from "../strings";
import { StatusMark } from "./icons";

const arrows = { up: "▲", down: "▼", flat: "=" } as const;

export function Tile({ view }: { readonly view: TileView }): JSX.Element {
  return (
    <article class={`tile tile-${view.level}`} data-tile={view.id} data-old={view.old !== ""}>
      <h3 class="tile-title">
        <span>{view.title}</span>
        {view.level !== "ok" && (
          <span class={`tag tag-${view.level}`}>
            <StatusMark level={view.level} />
            {t.level[view.level]}
          </span>
        )}
      </h3>
      <p class="tile-value" title={view.exact} data-unknown={view.shown.text === t.noData}>
        <span class="digits">{view.shown.text}</span>
        {view.shown.unit !== "" && <span class="unit">{view.shown.unit}</span>}
      </p>
      <p class="tile-delta" title={view.change.title}>
        <DeltaText delta={view.change.delta} /> <span class="meta">{t.deltaVs(view.change.against)}</span>
      </p>
      <Sparkline view={view} />
      <p class="tile-range meta">{view.old === "" ? view.range : view.old}</p>
    </article>
  );
}

function DeltaText({ delta }: { readonly delta: Delta }): JSX.Element {
  if (delta.kind === "unknown") return <span class="delta">{t.notAvailable}</span>;
  return (
    <span class={`delta delta-${delta.tone}`}>
      <span aria-hidden="true">{arrows[delta.direction]}</span> {delta.text}
    </span>
  );
}

const sparkWidth = 200;
const sparkHeight = 32;

function Sparkline({ view }: { readonly view: TileView }): JSX.Element {
  const { line, last, band } = sparkPath(view.spark, view.normal, sparkWidth, sparkHeight);
  return (
    <div class="spark" aria-hidden="true">
      <svg viewBox={`0 0 ${sparkWidth} ${sparkHeight}`} preserveAspectRatio="none">
        {band !== null && <rect class="spark-band" x="0" width={sparkWidth} y={band.y} height={band.height} />}
        <path class="spark-line" d={line} vector-effect="non-scaling-stroke" />
      </svg>
      {last !== null && <span class="spark-last" style={{ top: `${(last.y / sparkHeight) * 100}%` }} />}
    </div>
  );
}

export function TileSkeleton(): JSX.Element {
  return (
    <div class="tile skeleton">
      <span class="bone bone-label" />
      <span class="bone bone-value" />
      <span class="bone bone-label" />
      <span class="bone bone-spark" />
      <span class="bone bone-label" />
    </div>
  );
}
