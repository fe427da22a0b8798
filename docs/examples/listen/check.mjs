// Looks at the page with a real Chromium, as a test: signs in, and sees the numbers change.
//   TELLTALE_ADMIN_PASSWORD=... node check.mjs http://127.0.0.1:8090 [screenshot.png]
import assert from "node:assert/strict";
import { launch } from "../../../web/e2e/browser.mjs";

const timeoutMs = 60_000;
const [address, screenshot] = process.argv.slice(2);
const browser = await launch();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(timeoutMs);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.stack));

  await page.goto(address);
  await page.getByLabel("User").fill("admin"); // no session yet, so the page leads to the sign-in
  await page.getByLabel("Password").fill(process.env.TELLTALE_ADMIN_PASSWORD);
  await page.getByRole("button").click();

  const cells = () => page.locator("tr").evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
  const read = async () => ({ state: await page.getByRole("status").textContent(), ...Object.fromEntries(await cells()) });
  await page.getByText("live, as of").waitFor();
  const before = await read();
  const changed = (now) => now.state !== before.state && now.cpu !== before.cpu && now.memory > 0 && now.memory < 1;
  let now = before;
  for (const deadline = Date.now() + timeoutMs; !changed(now); now = await read()) {
    assert.ok(Date.now() < deadline, `waited ${timeoutMs / 1000} s in vain for other numbers than ${JSON.stringify(now)}`);
    await page.waitForTimeout(200);
  }
  if (screenshot) await page.screenshot({ path: screenshot });
  assert.deepEqual(errors, []);
  console.log(now);
} finally {
  await browser.close();
}
