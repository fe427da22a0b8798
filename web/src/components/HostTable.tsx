import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { TableDef } from "../api/types";
import { sinceTime } from "../format/time";
import { rank } from "../select/level";
import type { CellView, RowView } from "../select/table";
import { t } from "../strings";
import { StatusMark } from "./icons";

export interface HostTableProps {
  readonly def: TableDef;
  readonly rows: readonly RowView[];
  readonly nowMs: number;
}

/** Which column the rows are sorted by: -2 the name, -1 the status, from 0 the table's own. */
interface Sort {
  readonly column: number;
  readonly down: boolean;
}

const pageRows = 100;
const filterFrom = 12;

export function HostTable({ def, rows, nowMs }: HostTableProps): JSX.Element {
  const [sort, setSort] = useState<Sort>({ column: -2, down: false });
  const [filter, setFilter] = useState("");
  const [limit, setLimit] = useState(pageRows);
  const matching = rows.filter((row) => row.name.toLowerCase().includes(filter.trim().toLowerCase()));
  const sorted = sortRows(matching, sort);
  const head = (title: string, column: number, number: boolean): JSX.Element => (
    <th scope="col" class={number ? "number" : ""} aria-sort={sort.column !== column ? undefined : sort.down ? "descending" : "ascending"}>
      <button
        type="button"
        onClick={() => {
          setSort({ column, down: sort.column === column ? !sort.down : column > -2 });
        }}
      >
        {title}
        <span class="sort" aria-hidden="true">{sort.column !== column ? "" : sort.down ? "↓" : "↑"}</span>
      </button>
    </th>
  );
  return (
    <section class="hosts" aria-labelledby="hosts-title">
      <header class="section-head">
        <h2 id="hosts-title">{def.title} <span class="meta">{rows.length}</span></h2>
        {rows.length >= filterFrom && (
          <input
            type="search"
            class="filter"
            aria-label={t.filterHosts}
            placeholder={t.filterHosts}
            value={filter}
            onInput={(event) => {
              setFilter(event.currentTarget.value);
            }}
          />
        )}
      </header>
      <div class="table-scroll" tabIndex={0} role="group" aria-labelledby="hosts-title">
        <table>
          <thead>
            <tr>
              {head(t.hostColumn, -2, false)}
              {head(t.statusColumn, -1, false)}
              {def.columns.map((column, i) => head(column.title, i, true))}
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, limit).map((row) => <HostRow key={row.name} row={row} nowMs={nowMs} />)}
          </tbody>
        </table>
        {matching.length === 0 && <p class="empty-line">{filter === "" ? t.noData : t.noMatch(filter)}</p>}
      </div>
      {sorted.length > limit && (
        <button
          type="button"
          class="button"
          onClick={() => {
            setLimit(limit + pageRows);
          }}
        >
          {t.showMore(Math.min(pageRows, sorted.length - limit))}
        </button>
      )}
    </section>
  );
}

function sortRows(rows: readonly RowView[], { column, down }: Sort): readonly RowView[] {
  const key = (row: RowView): number => (column === -1 ? rank(row.level) : (row.cells[column]?.sort ?? 0));
  const sorted = column === -2 ? [...rows] : [...rows].sort((a, b) => key(a) - key(b) || 0);
  return down ? sorted.reverse() : sorted;
}

function HostRow({ row, nowMs }: { readonly row: RowView; readonly nowMs: number }): JSX.Element {
  return (
    <tr class={`row-${row.level}`} data-host={row.name}>
      <th scope="row">{row.href === "" ? row.name : <a href={row.href}>{row.name}</a>}</th>
      <td>
        <span class={`state state-${row.level}`}>
          <StatusMark level={row.level} />
          {t.level[row.level]}
          {row.lost !== "" && <span class="meta lost">{row.lost}</span>}
          {row.silentSince !== null && row.silentSince > 0 && <span class="meta">{t.since(sinceTime(row.silentSince, nowMs))}</span>}
        </span>
      </td>
      {row.cells.map((cell, i) => <ValueCell key={i} cell={cell} />)}
    </tr>
  );
}

function ValueCell({ cell }: { readonly cell: CellView }): JSX.Element {
  return (
    <td class={`number cell-${cell.level}`} title={cell.exact} data-unknown={cell.sort === -Infinity}>
      {cell.level !== "ok" && <StatusMark level={cell.level} />}
      {cell.text}
      <span class="bar" aria-hidden="true">{cell.share !== null && <span style={{ width: `${cell.share * 100}%` }} />}</span>
    </td>
  );
}
