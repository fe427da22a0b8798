import type { JSX } from "preact";
import type { Agent } from "../api/types";
import { sinceTime, span } from "../format/time";
import { hostFacts } from "../select/facts";
import { t } from "../strings";

/** What the host says of itself, in one quiet line. */
export function HostFacts({ agent, nowMs }: { readonly agent: Agent | undefined; readonly nowMs: number }): JSX.Element {
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
    </dl>
  );
}
