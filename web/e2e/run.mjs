// The whole product end to end: hub, agent, and a real Chromium in between. Run "make build" first, then "npm run e2e".
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assertAccessible, assertReflow, launch, newContext, patienceMs, signIn, tiles, trendTable, waitFresh } from "./browser.mjs";
import { deployIsShown, incidentIsAdded } from "./events.mjs";
import { freePort, parseClickHouse, poll, startAgent, startHub } from "./hub.mjs";
import { gapIsShown, openForms, outageIsShown, ownDashboardIsShown } from "./outage.mjs";
import { askable, windowsBySql } from "./sql.mjs";

const screenshots = fileURLToPath(new URL("screenshots", import.meta.url));
mkdirSync(screenshots, { recursive: true });

const directory = mkdtempSync(join(tmpdir(), "telltale-e2e-"));
const data = join(directory, "hub");
const port = await freePort();
const begun = Date.now();
let hub;
let agent;
let browser;

async function step(name, work) {
  await work();
  console.log(`ok  ${((Date.now() - begun) / 1000).toFixed(1).padStart(5)} s  ${name}`);
}

/** The page of this host, with the name its agent goes by. */
async function hostName(page) {
  return page.locator("[data-host]").first().getAttribute("data-host");
}

try {
  hub = await startHub({ port, data });
  agent = startAgent({ port, state: join(directory, "agent") });
  browser = await launch();
  const context = await newContext(browser, hub.url);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.stack));
  let host = "";

  await step("no session: every page leads to the sign-in, the API refuses", async () => {
    await page.goto("/hosts/anything");
    await page.waitForURL((url) => url.pathname === "/login" && url.searchParams.get("next") === "/hosts/anything");
    for (const path of ["session", "agents", "dashboards/overview", "stream?dashboard=overview"]) {
      assert.equal((await fetch(`${hub.url}/api/v1/${path}`)).status, 401, path);
    }
  });

  await step("a wrong password and a foreign origin are refused", async () => {
    await page.getByLabel("User").fill("admin");
    await page.getByLabel("Password").fill("not the password");
    await page.keyboard.press("Enter");
    await page.getByText("Wrong user or password.").waitFor();
    const foreign = await fetch(`${hub.url}/api/v1/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Origin: "http://evil.example" },
      body: JSON.stringify({ user: "admin", password: "any" }),
    });
    assert.equal(foreign.status, 403);
  });

  await step("signed in, this host's tiles change", async () => {
    await signIn(page);
    await waitFresh(page, "live");
    await page.locator("[data-host]").first().waitFor();
    const before = await tiles(page);
    assert.ok(Object.keys(before).length >= 4, `tiles: ${JSON.stringify(before)}`);
    await poll("a tile to change", patienceMs, async () => {
      const now = await tiles(page);
      return Object.keys(before).some((id) => now[id] !== before[id]);
    });
  });

  await step("a second tab shares the stream", async () => {
    const second = await context.newPage();
    const opened = [];
    second.on("request", (request) => {
      if (request.url().includes("/api/v1/stream")) opened.push(request.url());
    });
    await second.goto("/");
    await waitFresh(second, "live");
    assert.deepEqual(opened, []);
    await page.close();
    await poll("the second tab to take the stream over", patienceMs, async () => opened.length > 0);
    await waitFresh(second, "live");
    await second.close();
  });

  const view = await context.newPage();
  view.on("pageerror", (error) => errors.push(error.stack));

  await step("the host has its own page", async () => {
    await view.goto("/");
    await view.locator("[data-host]").first().waitFor();
    host = await hostName(view);
    await view.locator("[data-host] a").first().click();
    await view.waitForURL((url) => url.pathname === `/hosts/${encodeURIComponent(host)}`);
    await waitFresh(view, "live");
    await view.locator("[data-trend] canvas").first().waitFor();
    assert.ok(!Object.values(await tiles(view)).every((text) => text === "no data"));
  });

  const definition = await view.evaluate(async (name) => {
    const response = await fetch(`/api/v1/dashboards/host?agent=${encodeURIComponent(name)}`);
    return response.json();
  }, host);
  const trend = definition.trends.find((t) => askable(definition.queries[t.lines[0].query]));
  assert.ok(trend, "no trend of the host page asks a question that SQL can check here");
  const query = definition.queries[trend.lines[0].query];

  let killedAt = 0;
  await step("the hub is killed: the page says that it reconnects", async () => {
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    killedAt = Date.now();
    await hub.end("SIGKILL");
    await waitFresh(view, "reconnecting");
    await view.screenshot({ path: join(screenshots, "reconnecting.png") });
  });

  let alive = 0;
  let clickhouse;
  await step("started again, it is live, with no gap in the chart", async () => {
    hub = await startHub({ port, data });
    await waitFresh(view, "live");
    alive = Date.now();
    clickhouse = await poll("the hub to print how to reach ClickHouse", patienceMs, () => parseClickHouse(hub.output));
    // The agent goes on sampling while the hub is away. What it could not sample on a busy machine is no fault of the page.
    await agree("the outage", killedAt - 8_000, alive, (alive - killedAt) / 2000);
  });

  await step("the numbers of the page are those SQL gives", async () => {
    await agree("what the agent has sent so far and sends next", begun, alive + 15_000, 30);
  });

  /** Waits until the page has, window by window, what SQL has: spools are drained and the page asks again, both in their own time. */
  async function agree(what, from, to, atLeast) {
    const [first, last] = [from, to].map((ms) => Math.floor(ms / 1000) * 1000);
    let wrong = [];
    await poll(`page and SQL to agree on ${what}`, 3 * patienceMs, async () => {
      const bySql = await windowsBySql(clickhouse, query, trend.lines[0].label, first, last);
      const onPage = await trendTable(view, trend.id);
      const { compared, differences } = compare(onPage, bySql, first, last);
      wrong = differences;
      if (compared >= atLeast && wrong.length === 0) return true;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return false;
    }).catch((error) => {
      throw new Error(`${error.message}: ${wrong.join("\n")}`);
    });
  }

  function compare(onPage, bySql, first, last) {
    const windows = onPage.windows.filter((w) => w.end > first && w.end <= last);
    const differences = [];
    const compared = new Set();
    onPage.lines.forEach((line, i) => {
      for (const [end, wanted] of bySql.get(line) ?? []) {
        // A window without a sample is left out: the last value is carried over it, which SQL over samples alone does not see.
        const found = windows.find((w) => w.end === end)?.values[i] ?? null;
        const close = found !== null && Math.abs(wanted - found) <= 1e-9 * Math.max(1, Math.abs(wanted));
        if (!close) differences.push(`${line}, window ${end}: the page has ${found}, SQL ${wanted}`);
        compared.add(end);
      }
    });
    return { compared: compared.size, differences };
  }

  await step("everything works by keyboard", async () => {
    await view.keyboard.press("p");
    await waitFresh(view, "paused");
    const held = await tiles(view);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    assert.deepEqual(await tiles(view), held, "a paused page must stand still");
    await view.keyboard.press("p");
    await waitFresh(view, "live");
    await view.keyboard.press("?");
    await view.getByRole("dialog").waitFor();
    await view.keyboard.press("Escape");
    await view.getByRole("dialog").waitFor({ state: "detached" });
    await view.locator(".plot").first().focus();
    await view.keyboard.press("ArrowLeft");
    await view.keyboard.press("ArrowLeft");
    const time = view.locator("[data-trend] .readout time");
    await time.first().waitFor();
    const times = await time.allTextContents();
    assert.ok(times.length > 1 && new Set(times).size === 1, `the charts' cursors must stand at one time: ${times.join(", ")}`);
    await view.keyboard.press("Escape");
    await time.first().waitFor({ state: "detached" });
    await view.goto("/");
    await view.locator("[data-host]").first().waitFor();
    const reached = new Set();
    for (let i = 0; i < 40; i++) {
      await view.keyboard.press("Tab");
      const seen = await view.evaluate(() => {
        const it = document.activeElement;
        if (it === document.body) return { name: "", shown: false };
        const box = it.getBoundingClientRect();
        const style = getComputedStyle(it);
        return { name: it.getAttribute("aria-label") ?? it.textContent.trim().slice(0, 40), shown: box.width > 0 && style.outlineStyle !== "none" };
      });
      if (seen.name === "" || reached.has(seen.name)) continue;
      reached.add(seen.name);
      assert.ok(seen.shown, `"${seen.name}" has the focus and does not show it`);
    }
    for (const name of ["Skip to content", "Pause (P)", "Sign out", host]) assert.ok(reached.has(name), `${name} cannot be reached by Tab`);
  });

  await step("nothing is lost at 320 px", async () => {
    const narrow = await newContext(browser, hub.url, { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true });
    await narrow.addCookies(await context.cookies());
    const phone = await narrow.newPage();
    for (const path of ["/", `/hosts/${encodeURIComponent(host)}`, "/login"]) {
      await phone.goto(path);
      await phone.locator("main").waitFor();
      await phone.waitForTimeout(1_500);
      await assertReflow(phone, path);
    }
    await narrow.close();
  });

  await step("axe finds no fault, dark and light", async () => {
    for (const colorScheme of ["dark", "light"]) {
      const own = await newContext(browser, hub.url, { colorScheme });
      await own.addCookies(await context.cookies());
      const one = await own.newPage();
      for (const path of ["/", `/hosts/${encodeURIComponent(host)}`, "/?kiosk=1"]) {
        await one.goto(path);
        await waitFresh(one, "live");
        await one.waitForTimeout(1_000);
        await assertAccessible(one, `${path} (${colorScheme})`);
      }
      await own.clearCookies();
      await one.goto("/login");
      await one.getByLabel("User").waitFor();
      await assertAccessible(one, `/login (${colorScheme})`);
      await own.close();
    }
  });

  await step("screenshots", async () => {
    const shot = async (name, options, path = "/") => {
      const own = await newContext(browser, hub.url, options);
      await own.addCookies(await context.cookies());
      const one = await own.newPage();
      await one.goto(path);
      await waitFresh(one, "live");
      await one.waitForTimeout(3_000);
      await one.screenshot({ path: join(screenshots, `${name}.png`) });
      await own.close();
    };
    await shot("desktop-dark", {});
    await shot("desktop-light", { colorScheme: "light" });
    await shot("phone", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
    await shot("kiosk", { viewport: { width: 1920, height: 1080 } }, "/?kiosk=1");
  });

  const forms = await openForms(browser, hub.url, await context.cookies());

  await step("a deploy sent from outside is marked in the charts of open pages", async () => {
    await deployIsShown(forms, hub, data, screenshots);
  });

  await step("a person adds an incident, and the list has all that is said", async () => {
    await incidentIsAdded(forms, screenshots);
  });

  await step("the agent is killed and comes back: its page names what is lost", async () => {
    await agent.end("SIGKILL");
    // Slow enough that catching up, below, can be watched.
    agent = startAgent({ port, state: join(directory, "agent"), args: ["--backlog-rate", "1"] });
    await gapIsShown(forms, host, screenshots);
  });

  await step("ClickHouse stands still and goes on: behind, catching up, well, and live all the while", async () => {
    await outageIsShown(forms, hub, screenshots);
  });

  await step("the hub shows itself", async () => {
    await ownDashboardIsShown(forms, screenshots);
    await forms.close();
  });

  await step("a session that ends leads to the sign-in, at once", async () => {
    await waitFresh(view, "live");
    const other = await context.newPage();
    await other.goto("/");
    await other.getByRole("button", { name: "Sign out" }).click();
    await other.waitForURL((url) => url.pathname === "/login");
    await view.waitForURL((url) => url.pathname === "/login");
    await view.goto("/");
    await view.waitForURL((url) => url.pathname === "/login");
    assert.equal(await view.locator("[data-tile]").count(), 0, "a page without a session must show no data");
  });

  assert.deepEqual(errors, [], "the page threw errors");
  console.log("all well");
} catch (error) {
  console.error(error);
  console.error("\nlast words of the hub:\n" + (hub?.output ?? "").slice(-4_000));
  console.error("\nlast words of the agent:\n" + (agent?.output ?? "").slice(-2_000));
  process.exitCode = 1;
} finally {
  await browser?.close();
  await agent?.end("SIGTERM");
  await hub?.end("SIGTERM");
  rmSync(directory, { recursive: true, force: true });
}
