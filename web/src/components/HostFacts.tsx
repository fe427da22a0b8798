import type { JSX } from "preact";
import type { Agent, DeclaredGap } from "../api/types";
import { sinceTime, span } from "../format/time";
import { hostFacts } from "../select/facts";
import { t } from "../strings";

interface HostFactsProps {
  readonly agent: Agent | undefined;
  /** Null where nobody has told yet. */
  readonly gaps: readonly DeclaredGap[] | null;
  readonly nowMs: number;
}

/** What the host says of itself, in one quiet line. */
export function HostFacts({ agent, gaps, nowMs }: HostFactsProps): JSX.Element {
  if (agent === undefined) return <dl class="facts" />;
  return (
    <dl class="facts">
      <div>
        <dt class="sr">{t.statusColumn}</dt>
        <dd>{agent.connected ? `${t.connected}, ${t.every(span(agent.intervalMs))}` : t.lastSeen(sinceTime(agent.lastSeen, nowMs))}</dd>
      </div>
      {hostFacts(agent, nowMs).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
      {gaps?.length === 0 && (
        <div>
          <dt>{t.gapsLabel}</dt>
          <dd>{t.noGaps}</dd>
        </div>
      )}
    </dl>
  );
}
