// What a page says when history lacks something: a killed agent's gap, and a ClickHouse that stands still.
import assert from "node:assert/strict";
import { join } from "node:path";
import { assertAccessible, assertReflow, freshness, newContext, patienceMs, tiles, waitFresh } from "./browser.mjs";
import { clickhousePid, poll } from "./hub.mjs";

const storage = (page) => page.locator("[data-storage]").getAttribute("data-storage");
const strip = (page) => page.locator("[data-storage]").innerText();

/** Pages of one session, in the forms in which the screenshots are taken. */
export async function openForms(browser, url, cookies) {
  const forms = {
    dark: {},
    light: { colorScheme: "light" },
    phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  };
  const opened = {};
  for (const [name, options] of Object.entries(forms)) {
    const context = await newContext(browser, url, options);
    await context.addCookies(cookies);
    opened[name] = await context.newPage();
  }
  return {
    ...opened,
    goto: (path) => Promise.all(Object.values(opened).map((page) => page.goto(path))),
    shoot: (screenshots, name) =>
      Promise.all(Object.entries(opened).map(([form, page]) => page.screenshot({ path: join(screenshots, `${name}-${form}.png`) }))),
    close: () => Promise.all(Object.values(opened).map((page) => page.context().close())),
  };
}

/** The host's page names the gap that its killed agent declares, and the overview its row. */
export async function gapIsShown(forms, host, screenshots) {
  await forms.goto(`/hosts/${encodeURIComponent(host)}`);
  const line = forms.dark.locator('[data-gap="unclean_stop"]').first();
  await line.waitFor();
  const text = await line.innerText();
  assert.match(text, /\d+ (s|min) lost, \d\d:\d\d:\d\d, unclean stop/);
  assert.doesNotMatch(text, /\b0 (samples|lost)/, "0 samples are an unknown number of them");
  await waitFresh(forms.dark, "live");
  await forms.light.locator("[data-gap]").first().waitFor();
  await forms.phone.locator("[data-gap]").first().waitFor();
  await assertReflow(forms.phone, "a host with a gap");
  await assertAccessible(forms.dark, "a host with a gap");
  await forms.shoot(screenshots, "gap");
  await forms.goto("/");
  await forms.dark.locator(".lost").first().waitFor();
}

/** ClickHouse stands still, and goes on: the page says so each time, and live goes on all the while. */
export async function outageIsShown(forms, hub, screenshots) {
  await forms.goto("/");
  for (const page of [forms.dark, forms.light, forms.phone]) await waitFresh(page, "live");
  await poll("the page to say that history is well", patienceMs, async () => (await storage(forms.dark)) === "well");
  const clickhouse = clickhousePid(hub);
  process.kill(clickhouse, "SIGSTOP");
  try {
    await poll("the page to say that history is behind", patienceMs, async () => (await storage(forms.dark)) === "behind");
    assert.match(await strip(forms.dark), /[Hh]istory is behind[\s\S]*ClickHouse is slow or away/);
    const before = await tiles(forms.dark);
    await poll("a tile to change while history is behind", patienceMs, async () => {
      const now = await tiles(forms.dark);
      return Object.keys(before).some((id) => now[id] !== before[id]);
    });
    assert.equal(await freshness(forms.dark), "live");
    // Long enough that there is something to catch up with.
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    assert.equal(await freshness(forms.dark), "live");
    await assertReflow(forms.phone, "history is behind");
    await assertAccessible(forms.dark, "history is behind");
    await assertAccessible(forms.light, "history is behind, light");
    await forms.shoot(screenshots, "behind");
  } finally {
    process.kill(clickhouse, "SIGCONT");
  }
  await poll("the page to say that agents catch up", patienceMs, async () => (await storage(forms.dark)) === "draining");
  assert.match(await strip(forms.dark), /catching up: agents still hold \d+ batch/);
  await poll("an estimate of how long that takes", patienceMs, async () => / left/.test(await strip(forms.dark)));
  await forms.shoot(screenshots, "draining");
  await poll("the page to say that history is well", 3 * patienceMs, async () => (await storage(forms.dark)) === "well");
}

/** The hub's own dashboard has values of its own. */
export async function ownDashboardIsShown(forms, screenshots) {
  await forms.dark.getByRole("link", { name: "Telltale itself" }).click();
  await forms.dark.waitForURL((url) => url.pathname === "/d/telltale");
  await forms.goto("/d/telltale");
  for (const page of [forms.dark, forms.light, forms.phone]) await waitFresh(page, "live");
  await poll("the hub's own figures", patienceMs, async () => {
    const shown = await tiles(forms.dark);
    return ["received", "stored", "lag", "refused"].every((id) => shown[id] !== "no data") && shown.connected === "1";
  });
  await forms.dark.locator("[data-host]").first().waitFor();
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  await assertReflow(forms.phone, "/d/telltale");
  await assertAccessible(forms.dark, "/d/telltale");
  await assertAccessible(forms.light, "/d/telltale, light");
  await forms.shoot(screenshots, "telltale");
}
