// A panel's question asked a second way: by SQL over the analyst's view, written apart from the hub's own compiler.

const perSeries = {
  avg: "avg(value)",
  sum: "sum(value)",
  min: "min(value)",
  max: "max(value)",
  last: "argMax(value, ts)",
  increase: "sum(value)",
  rate: "sum(value)",
};
const across = { sum: "sum(v)", avg: "avg(v)", min: "min(v)", max: "max(v)", count: "count()" };

const quote = (text) => `'${String(text).replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

const columnOf = (label) => (label === "agent" ? "agent" : `labels[${quote(label)}]`);

function condition(label, match) {
  const column = columnOf(label);
  const [, operator, text] = /^(!=|=~|!~)?(.*)$/s.exec(match);
  switch (operator) {
    case "!=":
      return `${column} != ${quote(text)}`;
    case "=~":
      return `match(${column}, ${quote(`^(?:${text})$`)})`;
    case "!~":
      return `NOT match(${column}, ${quote(`^(?:${text})$`)})`;
    default:
      return `${column} = ${quote(text)}`;
  }
}

/** Whether this file can ask the question: one metric, and no percentiles. */
export function askable(query) {
  return typeof query.metric === "string" && query.over in perSeries && (query.agg ?? "sum") in across;
}

/**
 * The value of each one-second window with an end in (from, to]: by the name of the line, as the label's template
 * makes it from the group, and by the window's end in ms.
 */
export async function windowsBySql(clickhouse, query, template, from, to) {
  const by = query.by ?? [];
  const groups = by.map((label, i) => `, ${columnOf(label)} AS g${i}`).join("");
  const names = by.map((_, i) => `, g${i}`).join("");
  const where = [
    `metric = ${quote(query.metric)}`,
    ...Object.entries(query.where ?? {}).map(([label, match]) => condition(label, match)),
    `ts >= fromUnixTimestamp64Milli(${from})`,
    `ts < fromUnixTimestamp64Milli(${to})`,
  ];
  const text = `
    SELECT toString(w) AS end${names}, ${across[query.agg ?? "sum"]} AS value FROM (
      SELECT intDiv(toUnixTimestamp64Milli(ts), 1000) * 1000 + 1000 AS w, agent, labels${groups}, ${perSeries[query.over]} AS v
      FROM telltale.samples WHERE ${where.join(" AND ")} GROUP BY w, agent, labels
    ) GROUP BY w${names} FORMAT JSONEachRow`;
  const response = await fetch(clickhouse.url, {
    method: "POST",
    body: text,
    headers: { Authorization: `Basic ${Buffer.from(`${clickhouse.user}:${clickhouse.password}`).toString("base64")}` },
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`SQL failed: ${answer}\n${text}`);
  const rows = answer.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const lines = new Map();
  for (const row of rows) {
    const line = by.reduce((text, label, i) => text.replaceAll(`{${label}}`, row[`g${i}`]), template);
    if (!lines.has(line)) lines.set(line, new Map());
    lines.get(line).set(Number(row.end), Number(row.value));
  }
  return lines;
}
