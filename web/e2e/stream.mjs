// The browser's side of the stream, end to end: tabs that share it, pages that are hidden, networks that go.
// Run "make build" first, then "npm run e2e".
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assertReflow, launch, newContext, patienceMs, signIn, waitFresh } from "./browser.mjs";
import { agentToken, freePort, poll, startHub } from "./hub.mjs";
import { agree, startKnownAgent } from "./known.mjs";
import { assertNoLeak } from "./leak.mjs";

const screenshots = fileURLToPath(new URL("screenshots", import.meta.url));
mkdirSync(screenshots, { recursive: true });
const directory = mkdtempSync(join(tmpdir(), "telltale-e2e-"));
const port = await freePort();
const begun = Date.now();
const errors = [];
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
let hub;
let agent;
let browser;

async function step(name, work) {
  await work();
  console.log(`ok  ${((Date.now() - begun) / 1000).toFixed(1).padStart(5)} s  ${name}`);
}

/** A context that is signed in as the first one is. */
async function signedIn(cookies, options) {
  const context = await newContext(browser, hub.url, options);
  await context.addCookies(cookies);
  return context;
}

/** A page that notes its streams and what it asks of history for its charts. */
async function watched(context) {
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(error.stack));
  const seen = { streams: [], ended: 0, queries: [] };
  const isStream = (request) => request.url().includes("/api/v1/stream");
  page.on("request", (request) => {
    if (isStream(request)) seen.streams.push(request.headers()["last-event-id"] ?? "");
    if (!request.url().endsWith("/api/v1/query")) return;
    const { from, to, step } = request.postDataJSON();
    // Comparisons are made of longer steps.
    if (step === "1s") seen.queries.push({ from, to });
  });
  for (const end of ["requestfailed", "requestfinished"]) page.on(end, (request) => (seen.ended += isStream(request) ? 1 : 0));
  return { page, seen };
}

/** Notes when the page first said how things are, in ms since it was asked for. Runs in the page, before its scripts. */
function noteFirstStatus() {
  const observer = new MutationObserver(() => {
    const digits = document.querySelector("[data-tile] .digits")?.textContent;
    if (digits === undefined || !/\d/.test(digits)) return;
    globalThis.firstStatusMs = Math.round(performance.now());
    observer.disconnect();
  });
  observer.observe(document, { childList: true, subtree: true, characterData: true });
}

/** Hides the page or shows it, as far as its scripts can tell: a browser without a screen shows all its pages always. */
const show = (page, visible) =>
  page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, visible ? "visible" : "hidden");

/** Answers the page's first request for the stream with these events, and lets all later ones pass. Runs in the page, before its scripts. */
function beginThen(events) {
  const real = globalThis.fetch;
  globalThis.fetch = (url, init) => {
    if (!String(url).startsWith("/api/v1/stream")) return real(url, init);
    globalThis.fetch = real;
    const text = events.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join("");
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(text));
        init.signal.addEventListener("abort", () => controller.error(init.signal.reason));
      },
    });
    return Promise.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
  };
}

try {
  hub = await startHub({ port, data: join(directory, "hub") });
  agent = await startKnownAgent({ port, token: agentToken, pastMs: 26 * 60_000 });
  browser = await launch();
  const context = await newContext(browser, hub.url);
  const first = await watched(context);
  await signIn(first.page);
  await waitFresh(first.page, "live");
  const cookies = await context.cookies();
  const leak = assertNoLeak(await signedIn(cookies, { viewport: { width: 1280, height: 800 } }), 2_000);
  leak.catch(() => undefined);

  await step("a phone that was hidden for ten minutes has a complete chart after one request", async () => {
    const own = await signedIn(cookies, phone);
    const { page, seen } = await watched(own);
    const then = Math.floor((Date.now() - 600_000) / 1000) * 1000;
    // The page begins ten minutes ago: what the stream said then, and the hub's clock as it was. All after it is the hub's own.
    const { queries } = await (await own.request.get("/api/v1/dashboards/overview")).json();
    const build = readFileSync(new URL("../dist/build.txt", import.meta.url), "utf8").trim();
    const known = await (await own.request.post("/api/v1/query", { data: { queries, from: then - 60_000, to: then, step: "1s" } })).json();
    await page.addInitScript(beginThen, [
      ["hello", { version: 1, build, server_time: then + 700 }],
      ["snapshot", { end: then, since: then - 59_000, queries: known.queries }],
    ]);
    await page.goto("/");
    await agree(page, "as it was ten minutes ago", then - 899_000, then);
    await show(page, false);
    await page.waitForTimeout(6_000);
    seen.streams.length = seen.queries.length = 0;
    const back = Date.now();
    await show(page, true);
    await waitFresh(page, "live");
    await agree(page, "all of the absence", back - 890_000, back);
    console.log(`     complete ${Date.now() - back} ms after it was shown`);
    await page.setViewportSize({ width: 390, height: 1900 });
    await page.waitForTimeout(4_000);
    await page.screenshot({ path: join(screenshots, "phone-back.png") });
    assert.deepEqual(seen.streams, [String(then)], "one stream, resumed from the last id");
    // What lay before the page was opened may still be asked for once more; the absence came with the stream.
    const absence = seen.queries.filter(({ to }) => to > then);
    assert.equal(absence.length, 0, `requests to history: ${JSON.stringify(seen.queries)}`);
  });

  await step("a phone in a pocket closes its stream, and asks history for nothing when it is soon back", async () => {
    const own = await signedIn(cookies, phone);
    const { page, seen } = await watched(own);
    await page.goto("/");
    await waitFresh(page, "live");
    await poll("history to be asked", patienceMs, () => seen.queries.length > 0);
    await agree(page, "before", Date.now() - 600_000, Date.now() - 3_000);
    const away = Date.now();
    await show(page, false);
    await poll("the stream to be closed", patienceMs, () => seen.ended === 1);
    await page.waitForTimeout(5_000);
    assert.equal(seen.streams.length, 1, "a hidden page opens no stream");
    const back = Date.now();
    await show(page, true);
    await agree(page, "the time in the pocket", back - 60_000, back);
    assert.equal(seen.streams.length, 2);
    assert.ok(Number(seen.streams[1]) > back - 30_000, "resumed from the last id");
    assert.ok(seen.queries.every(({ to }) => to <= away), "the stream itself had what was missed");

    await show(page, false);
    await poll("the stream to be closed again", patienceMs, () => seen.ended === 2);
    await own.setOffline(true);
    await show(page, true);
    await waitFresh(page, "offline");
    await page.screenshot({ path: join(screenshots, "phone-offline.png") });
    await own.setOffline(false);
    await waitFresh(page, "live");
    await agree(page, "the time offline", back, Date.now());
    await own.close();
  });

  await step("tabs share one stream for each dashboard; a crashed and a hanging leader are replaced, and no window is missed", async () => {
    const tabs = [first];
    for (const path of ["/", "/", "/hosts/known-1"]) {
      const tab = await watched(context);
      await tab.page.goto(path);
      await waitFresh(tab.page, "live");
      tabs.push(tab);
    }
    const [, second, third, host] = tabs;
    const streams = () => tabs.map(({ seen }) => seen.streams.length);
    assert.deepEqual(streams(), [1, 0, 0, 1]);
    const start = Date.now();
    // A crash answers nobody.
    (await context.newCDPSession(first.page)).send("Page.crash").catch(() => undefined);
    await poll("another tab to lead", patienceMs, () => second.seen.streams.length + third.seen.streams.length === 1);
    const [leader, follower] = second.seen.streams.length === 1 ? [second, third] : [third, second];
    assert.ok(Number(leader.seen.streams[0]) > start - 10_000, "resumed from the last id");

    const debug = await context.newCDPSession(leader.page);
    await debug.send("Debugger.enable");
    await debug.send("Debugger.pause");
    await poll("the other tab to take the lead", patienceMs, () => follower.seen.streams.length === 1);
    await waitFresh(follower.page, "live");
    await debug.send("Debugger.resume");
    await poll("the tab that hung to end its stream", patienceMs, () => leader.seen.ended === 1);
    const end = Date.now();
    for (const { page } of [leader, follower]) {
      await waitFresh(page, "live");
      await agree(page, "the changes of leaders", start - 10_000, end);
    }
    assert.deepEqual([leader, follower, host].map(({ seen }) => seen.streams.length), [1, 1, 1]);
    await Promise.all([second, third, host].map(({ page }) => page.close()));
  });

  await step("phone, laptop and wall screens show all they should", async () => {
    const views = [
      ["view-phone", phone, "/"],
      ["view-laptop", { viewport: { width: 1280, height: 800 } }, "/"],
      ["view-wall-hd", { viewport: { width: 1920, height: 1080 } }, "/?kiosk=1"],
      ["view-wall-4k", { viewport: { width: 3840, height: 2160 } }, "/?kiosk=1"],
    ];
    for (const [name, options, path] of views) {
      const own = await signedIn(cookies, options);
      const { page } = await watched(own);
      await page.addInitScript(noteFirstStatus);
      const past = page.waitForResponse((response) => response.url().endsWith("/api/v1/query") && response.request().postDataJSON().step === "1s");
      await page.goto(path);
      await waitFresh(page, "live");
      await past;
      await page.waitForTimeout(700);
      console.log(`     ${name}: first status after ${await page.evaluate(() => globalThis.firstStatusMs)} ms`);
      if (path.includes("kiosk")) await assertReadable(page, name);
      else await assertReflow(page, name);
      await page.screenshot({ path: join(screenshots, `${name}.png`) });
      await own.close();
    }
  });

  await step("2,000 ticks leave nothing behind", () => leak);

  assert.deepEqual(errors, [], "the page threw errors");
  console.log("all well");
} catch (error) {
  console.error(error);
  console.error("\nlast words of the hub:\n" + (hub?.output ?? "").slice(-4_000));
  process.exitCode = 1;
} finally {
  agent?.stop();
  await browser?.close();
  await hub?.end("SIGTERM");
  rmSync(directory, { recursive: true, force: true });
}

/** A wall screen shows all without scrolling, and its figures are read from metres away. */
async function assertReadable(page, what) {
  const seen = await page.evaluate(() => {
    const sizes = (selector) => [...document.querySelectorAll(selector)].map((e) => (100 * parseFloat(getComputedStyle(e).fontSize)) / innerHeight);
    return { overflow: document.documentElement.scrollHeight - innerHeight, digits: Math.min(...sizes(".digits")), labels: Math.min(...sizes(".tile-title, .trend h3")) };
  });
  assert.ok(seen.overflow <= 0, `${what}: ${seen.overflow} px lie below the screen`);
  assert.ok(seen.digits >= 7, `${what}: figures are ${seen.digits} % of the screen's height`);
  assert.ok(seen.labels >= 2.5, `${what}: labels are ${seen.labels} % of the screen's height`);
}
