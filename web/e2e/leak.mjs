// A wall screen's week in a minute: thousands of ticks as fast as the page can draw them, and what is left of them.
import assert from "node:assert/strict";
import { patienceMs } from "./browser.mjs";
import { poll } from "./hub.mjs";

/** Puts a stream of the test's own in the place of the hub's. Runs in the page, before its scripts. */
function replaceStream() {
  const real = globalThis.fetch;
  globalThis.fetch = (url, init) => {
    if (!String(url).startsWith("/api/v1/stream")) return real(url, init);
    const body = new ReadableStream({
      start(controller) {
        const encoder = new TextEncoder();
        globalThis.feed = (event, data) => controller.enqueue(encoder.encode(`id: ${data.end ?? 0}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
      },
    });
    return Promise.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
  };
}

/** Feeds ticks, one for each drawn frame; hosts come and go, and charts are made anew as the theme changes. Runs in the page. */
async function feedTicks({ definition, first, count }) {
  const names = Object.keys(definition.queries);
  const hosts = 12;
  const grouped = (name) => (definition.queries[name].by ?? []).length > 0;
  const groupsAt = (n) => Array.from({ length: hosts }, (_, i) => ({ agent: `pod-${Math.floor(n / 100) + i}` }));
  const valueAt = (n, i) => 0.3 + 0.2 * Math.sin(n / 60 + i);
  const rowAt = (name, n) => (grouped(name) ? Array.from({ length: hosts }, (_, i) => valueAt(n, i)) : [valueAt(n, 0)]);
  const start = Math.floor(Date.now() / 1000) * 1000;
  globalThis.fed ??= start;
  if (first === 0) {
    globalThis.feed("hello", { version: 1, build: "leak", server_time: start });
    const queries = Object.fromEntries(names.map((name) => [name, { groups: grouped(name) ? groupsAt(0) : [{}], values: rowAt(name, 0).map((v) => [v]) }]));
    globalThis.feed("snapshot", { end: start, since: start, queries });
  }
  for (let n = first + 1; n <= first + count; n++) {
    const values = Object.fromEntries(names.map((name) => [name, rowAt(name, n)]));
    const groups = n % 100 === 0 ? Object.fromEntries(names.filter(grouped).map((name) => [name, groupsAt(n)])) : {};
    globalThis.feed("tick", { end: globalThis.fed + n * 1000, values, groups });
    if (n % 200 === 0) dispatchEvent(new KeyboardEvent("keydown", { key: "t" }));
    await new Promise(requestAnimationFrame);
  }
}

async function measure(page, cdp) {
  await page.waitForTimeout(500);
  for (let i = 0; i < 3; i++) await cdp.send("HeapProfiler.collectGarbage");
  const { metrics } = await cdp.send("Performance.getMetrics");
  const of = (name) => metrics.find((metric) => metric.name === name).value;
  const plots = await page.locator(".uplot").count();
  return { heapKB: Math.round(of("JSHeapUsedSize") / 1024), nodes: of("Nodes"), listeners: of("JSEventListeners"), documents: of("Documents"), plots };
}

/** Feeds `ticks` ticks and fails where memory, nodes or listeners grew with them. */
export async function assertNoLeak(context, ticks) {
  const page = await context.newPage();
  await page.addInitScript(replaceStream);
  await page.goto("/");
  await poll("the page to open its stream", patienceMs, () => page.evaluate(() => typeof globalThis.feed === "function"));
  const definition = await page.evaluate(async () => (await fetch("/api/v1/dashboards/overview")).json());
  const cdp = await context.newCDPSession(page);
  await cdp.send("Performance.enable");
  await cdp.send("HeapProfiler.enable");
  const feed = (first, count) => page.evaluate(feedTicks, { definition, first, count });
  const warm = 800;
  await feed(0, warm);
  const before = await measure(page, cdp);
  await feed(warm, ticks - warm);
  const after = await measure(page, cdp);
  console.log(`     after ${warm} ticks ${JSON.stringify(before)}\n     after ${ticks} ticks ${JSON.stringify(after)}`);
  assert.equal(after.plots, before.plots, "charts are left behind");
  assert.ok(after.nodes <= before.nodes + 100, "nodes are left behind");
  assert.ok(after.listeners <= before.listeners + 20, "listeners are left behind");
  assert.ok(after.heapKB <= before.heapKB + 2_048, "memory grows with each tick");
  await page.close();
}
