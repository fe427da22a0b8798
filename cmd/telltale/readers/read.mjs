// Reads a result of POST /api/v1/sql from standard input as programs do, and prints its rows as JSON, each value as a text
// that is the same for the same value in every format:
//   node read.mjs parquet|arrow
import { buffer } from "node:stream/consumers";
import { tableFromIPC } from "apache-arrow";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";

function bits(number) {
  if (Number.isNaN(number)) return "nan";
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number);
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}

function map(entries) {
  return JSON.stringify(Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1))));
}

// Columns whose type the reader does not tell by itself.
const as = {
  at: (v) => new Date(Number(v)).toISOString(),
  value: (v) => bits(v),
  labels: (v) => map(Symbol.iterator in v ? v : Object.entries(v)),
};

function row(values) {
  return Object.fromEntries(Object.entries(values).map(([name, v]) => [name, v === null ? null : (as[name] ?? String)(v)]));
}

const input = await buffer(process.stdin);
let rows;
if (process.argv[2] === "parquet") {
  const file = input.buffer.slice(input.byteOffset, input.byteOffset + input.byteLength);
  rows = await parquetReadObjects({ file, compressors });
} else {
  rows = tableFromIPC(input).toArray().map((r) => r.toJSON());
}
console.log(JSON.stringify(rows.map(row)));
