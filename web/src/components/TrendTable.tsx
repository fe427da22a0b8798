import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Annotation, TrendDef } from "../api/types";
import { exact, plain } from "../format/number";
import { clockTime } from "../format/time";
import { windowOf } from "../select/annotations";
import type { TrendData } from "../select/trends";
import { t } from "../strings";

interface TrendTableProps {
  readonly trend: TrendDef;
  readonly data: TrendData;
  readonly stepMs: number;
  readonly annotations: readonly Annotation[];
}

/** Every window of the chart, newest first, as of when the table was opened: it stands still under a reader. */
export function TrendTable({ trend, data, stepMs, annotations }: TrendTableProps): JSX.Element {
  const [held] = useState(data);
  const [happened] = useState(annotations);
  const count = held.lines[0]?.values.length ?? 0;
  const known = (i: number): boolean => held.lines.some((line) => !Number.isNaN(line.values[i] ?? NaN));
  const oldest = Array.from({ length: count }, (_, i) => i).find(known) ?? count;
  return (
    <div class="table-scroll trend-table" tabIndex={0} role="group" aria-label={`${trend.title}, ${t.tableUpTo(clockTime(held.last))}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t.tableTime}</th>
            {held.lines.map((line) => <th key={line.id} scope="col" class="number">{line.label}</th>)}
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: count - oldest }, (_, n) => {
            const i = count - 1 - n;
            const end = held.first + i * stepMs;
            return (
              <tr key={end} data-end={end}>
                <th scope="row">
                  <time>{clockTime(end)}</time>
                  {happened.filter((annotation) => windowOf(annotation, stepMs) === end).map(({ id, title }) => <span key={id} class="table-event">{title}</span>)}
                </th>
                {held.lines.map((line) => {
                  const value = line.values[i] ?? NaN;
                  return (
                    <td key={line.id} class="number" data-value={Number.isNaN(value) ? "" : value} title={exact(value, trend.format, trend.unit)}>
                      {plain(value, trend.format, trend.unit)}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
