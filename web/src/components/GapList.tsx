import type { JSX } from "preact";
import type { DeclaredGap } from "../api/types";
import { gapText } from "../select/gaps";
import { t } from "../strings";
import { StatusMark } from "./icons";

interface GapListProps {
  readonly gaps: readonly DeclaredGap[];
  readonly nowMs: number;
}

const shown = 3;

/** What the host's agent declared lost, the newest first; nothing where it declared nothing. */
export function GapList({ gaps, nowMs }: GapListProps): JSX.Element | null {
  if (gaps.length === 0) return null;
  return (
    <ul class="gaps" aria-label={t.gapsLabel}>
      {gaps.slice(0, shown).map((gap) => (
        <li key={`${gap.from} ${gap.to}`} data-gap={gap.reason}>
          <StatusMark level="warning" />
          <span>{gapText(gap, nowMs)}</span>
        </li>
      ))}
      {gaps.length > shown && <li class="meta">{t.moreGaps(gaps.length - shown)}</li>}
    </ul>
  );
}
