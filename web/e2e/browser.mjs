// The browser, and what the test reads from the page.
import { existsSync } from "node:fs";
import axe from "axe-core";
import { chromium } from "playwright-core";
import { password, poll } from "./hub.mjs";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** How long anything may take: what is tested is whether it comes, and the machine may be busy with other things. */
export const patienceMs = 60_000;

export async function launch() {
  if (!existsSync(executablePath)) {
    throw new Error(`${executablePath} is missing: install Chromium (apt-get install chromium) or name it in CHROMIUM`);
  }
  return chromium.launch({ executablePath, args });
}

export async function newContext(browser, url, options = {}) {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1440, height: 900 }, colorScheme: "dark", locale: "en-GB", ...options });
  context.setDefaultTimeout(patienceMs);
  return context;
}

export async function signIn(page) {
  await page.goto("/login");
  await page.getByLabel("User").fill("admin");
  await page.getByLabel("Password").fill(password);
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname === "/");
}

export const freshness = (page) => page.locator("[data-freshness].fresh").getAttribute("data-freshness");

export async function waitFresh(page, kind) {
  await poll(`the page to say "${kind}"`, patienceMs, async () => (await freshness(page)) === kind);
}

/** What each tile says, by its id. */
export async function tiles(page) {
  return page.locator("[data-tile]").evaluateAll((all) => Object.fromEntries(all.map((tile) => [tile.dataset.tile, tile.querySelector(".digits").textContent])));
}

/** Opens a trend's table, reads its lines' names and its windows at once, oldest first, and closes it: {end, values}, null being missing. */
export async function trendTable(page, trend) {
  const figure = page.locator(`[data-trend="${trend}"]`);
  const button = figure.getByRole("button");
  await button.click();
  await figure.locator("table").waitFor();
  const read = await figure.locator("table").evaluate((table) => ({
    lines: [...table.querySelectorAll("thead th.number")].map((cell) => cell.textContent),
    windows: [...table.querySelectorAll("tbody tr")]
      .map((row) => ({
        end: Number(row.dataset.end),
        values: [...row.querySelectorAll("td")].map((cell) => (cell.dataset.value === "" ? null : Number(cell.dataset.value))),
      }))
      .reverse(),
  }));
  await button.click();
  await figure.locator("table").waitFor({ state: "detached" });
  return read;
}

/** Fails where the page is wider than its window. */
export async function assertReflow(page, what) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (content > window) throw new Error(`${what}: the page is ${content} px wide in a window of ${window} px`);
}

/** Fails where axe finds fault with the page as it stands. */
export async function assertAccessible(page, what) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((node) => node.target.join(" ")).join(", ")})`);
  if (found.length > 0) throw new Error(`${what}:\n${found.join("\n")}`);
}
