// A shop that tells Telltale how it does, every second: orders as a counter, checkout latency as a distribution.
//   TELLTALE_TOKEN=... node push.mjs [ws://127.0.0.1:8080]
import { Hub } from "./hub.mjs";

const url = process.argv[2] ?? process.env.TELLTALE_HUB ?? "ws://127.0.0.1:8080";
const token = process.env.TELLTALE_TOKEN;
if (!token) {
  console.error("TELLTALE_TOKEN is not set: telltale token create shop");
  process.exit(2);
}

const stored = { orders: 0, checkouts: 0 };
const hub = new Hub({
  url,
  token,
  agent: { id: "shop-1", labels: { region: "eu" } },
  acknowledged(samples) {
    for (const { kind, value, values } of samples) {
      if (kind === "counter") stored.orders += value;
      else stored.checkouts += values.length;
    }
  },
});

// The business: customers come at random, and most are served quickly.
const branches = [{ shop: "de", perSecond: 4 }, { shop: "fr", perSecond: 2 }].map((branch) => ({ ...branch, latencies: [] }));

function sell(branch) {
  branch.latencies.push(0.08 * Math.exp(Math.random() + Math.random() + Math.random()));
  awaitCustomer(branch);
}

function awaitCustomer(branch) {
  branch.customer = setTimeout(sell, (-Math.log(1 - Math.random()) * 1000) / branch.perSecond, branch);
}

/** One batch for the second that has passed. No orders are a 0; no checkouts are no sample, for nothing was measured. */
function report() {
  const ts = Date.now();
  hub.push(
    branches.flatMap(({ shop, latencies }) => {
      const values = latencies.splice(0);
      const orders = { metric: "orders.placed", kind: "counter", unit: "1", value: values.length, ts, labels: { shop } };
      const checkouts = { metric: "checkout.latency", kind: "distribution", unit: "s", values, ts, labels: { shop } };
      return values.length > 0 ? [orders, checkouts] : [orders];
    }),
  );
}

branches.forEach(awaitCustomer);
const ticker = setInterval(report, 1000);

async function stop() {
  clearInterval(ticker);
  for (const { customer } of branches) clearTimeout(customer);
  report();
  const unacknowledged = await hub.close(10_000);
  console.log(`acknowledged: ${stored.orders} orders, ${stored.checkouts} checkouts; not acknowledged: ${unacknowledged} batches`);
  process.exitCode = unacknowledged > 0 ? 1 : 0;
}

let stopping; // a second signal does not wait
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => (stopping ? process.exit(1) : (stopping = stop())));
