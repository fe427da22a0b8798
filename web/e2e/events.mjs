// What has happened: a deploy from outside is marked on open pages, and a person adds an incident by hand.
import assert from "node:assert/strict";
import { assertAccessible, assertReflow, patienceMs, waitFresh } from "./browser.mjs";
import { command, poll } from "./hub.mjs";

const title = "shop 1.4.2";

/** Sends an event as a CI job does. */
async function record(hub, token, event) {
  const response = await fetch(`${hub.url}/api/v1/events`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(event),
  });
  assert.equal(response.status, 201, await response.clone().text());
  return response.json();
}

/** A deploy from outside comes to pages that are open, and is marked in every chart at its time. */
export async function deployIsShown(forms, hub, data, screenshots) {
  await forms.goto("/");
  for (const page of [forms.dark, forms.light, forms.phone]) {
    await waitFresh(page, "live");
    await page.locator("[data-trend] canvas").first().waitFor();
  }
  const token = command(["token", "create", "--data", data, "--scope", "events", "ci"]);
  const { id } = await record(hub, token, { title, kind: "deploy", start: Date.now() - 20_000, key: "run-1", text: "All shops.\nRolled out in one go.", tags: { service: "shop", version: "1.4.2" } });
  const named = forms.dark.locator(`[data-event="${id}"]`);
  await named.waitFor();
  await forms.phone.getByRole("button", { name: "1 event" }).waitFor();
  const chart = forms.dark.locator("[data-trend] .plot").first();
  assert.match(await chart.getAttribute("aria-label"), /1 event: deploy shop 1\.4\.2 at \d\d:\d\d$/);

  // Pointed at in the legend, by mouse or by keyboard, all charts' cursors stand on the mark and name it.
  for (const point of [() => named.hover(), () => named.focus()]) {
    await point();
    await forms.dark.locator(".readout-event", { hasText: title }).first().waitFor();
    assert.equal(await forms.dark.locator(".readout-event").count(), await forms.dark.locator("[data-trend]").count());
    await poll("the mark to be drawn where the cursors stand", patienceMs, () => isMarked(forms.dark));
    await forms.dark.mouse.move(0, 0);
    await forms.dark.evaluate(() => document.activeElement.blur());
    await forms.dark.locator(".readout-event").first().waitFor({ state: "detached" });
  }
  await assertReflow(forms.phone, "an event");
  await assertAccessible(forms.dark, "an event");
  await assertAccessible(forms.light, "an event, light");
  await forms.shoot(screenshots, "event");
}

/** Whether the first chart has a line from top to bottom at its cursor, in the colour of marks, and none some pixels beside. */
function isMarked(page) {
  return page.evaluate(() => {
    const plot = document.querySelector("[data-trend] .plot");
    const canvas = plot.querySelector("canvas");
    const over = plot.querySelector(".u-over").getBoundingClientRect();
    const cursor = plot.querySelector(".u-cursor-x").getBoundingClientRect();
    const box = canvas.getBoundingClientRect();
    const ratio = canvas.width / box.width;
    const probe = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--text-meta");
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    const share = (x) => {
      const column = canvas.getContext("2d").getImageData(Math.round((x - box.left) * ratio), (over.top - box.top) * ratio, 1, over.height * ratio).data;
      let marked = 0;
      for (let i = 0; i < column.length; i += 4) if (Math.abs(column[i] - r) + Math.abs(column[i + 1] - g) + Math.abs(column[i + 2] - b) < 30) marked++;
      return marked / (column.length / 4);
    };
    // The cursor stands at the end of the window in which the event began.
    const near = Array.from({ length: 7 }, (_, i) => cursor.left + 2 - i);
    return near.some((x) => share(x) > 0.5) && share(cursor.left - 20) < 0.5;
  });
}

/** A person adds an incident: by keyboard, told what is wrong with it, and sees it on all pages. */
export async function incidentIsAdded(forms, screenshots) {
  const page = forms.dark;
  const open = page.getByRole("button", { name: "Add event" });
  await open.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.name), "title", "an event without a title must be refused there");
  await page.keyboard.type("Checkout is slow");
  await dialog.getByLabel("Kind").selectOption("incident");
  await dialog.getByLabel("Details").fill("Payment times out.");
  await dialog.getByLabel("Ended").fill("2026-01-05T10:41");
  await page.keyboard.press("Enter");
  await dialog.getByText("It ended before it began.").waitFor();
  await assertAccessible(page, "the form for events");
  await forms.shoot(screenshots, "event-form");
  await dialog.getByLabel("Ended").fill("");
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Add event", "the focus must go back");
  for (const other of [page, forms.light]) await other.locator("[data-event]", { hasText: "Checkout is slow" }).waitFor();

  await forms.phone.getByRole("button", { name: "2 events" }).tap();
  await page.locator("[data-event]").first().focus();
  await page.keyboard.press("Enter");
  for (const one of [page, forms.phone]) {
    const list = one.getByRole("dialog");
    assert.match(await list.innerText(), /2 events[\s\S]*Checkout is slow[\s\S]*incident, \d\d:\d\d:\d\d, admin\s+Payment times out\.[\s\S]*shop 1\.4\.2[\s\S]*, ci\s+All shops\.\nRolled out[\s\S]*version=1\.4\.2/);
  }
  await assertReflow(forms.phone, "the list of events");
  await assertAccessible(page, "the list of events");
  await forms.shoot(screenshots, "event-list");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
}
