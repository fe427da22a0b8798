// Fails the build when the page's JavaScript outgrows its budget.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const budgetBytes = 100_000;
const assets = new URL("../dist/assets/", import.meta.url).pathname;
const sizes = readdirSync(assets)
  .filter((name) => name.endsWith(".js"))
  .map((name) => gzipSync(readFileSync(join(assets, name)), { level: 9 }).length);
const total = sizes.reduce((sum, size) => sum + size, 0);
console.log(`JavaScript: ${(total / 1000).toFixed(1)} kB gzip of ${budgetBytes / 1000} kB allowed`);
if (total > budgetBytes) {
  console.error("the page's JavaScript is over its budget: drop a dependency or load a part of it later");
  process.exit(1);
}
