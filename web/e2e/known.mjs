// An agent whose every value is known beforehand, so that a chart can be held against it window by window.
import assert from "node:assert/strict";
import { poll } from "./hub.mjs";
import { trendTable } from "./browser.mjs";

const stepMs = 1000;
const name = "known-1";

/** The value of the window that ends at `end`. */
export const cpuAt = (end) => 0.3 + 0.2 * Math.sin(end / 60_000);

function samplesAt(end) {
  const ts = end - stepMs / 2;
  const gauge = (metric, value, labels) => ({ metric, unit: "1", value, ts, labels });
  const counter = (metric, value, labels) => ({ metric, kind: "counter", unit: "By", value, ts, labels });
  return [
    gauge("system.cpu.utilization", cpuAt(end)),
    gauge("system.memory.utilization", 0.4 + 0.05 * Math.sin(end / 200_000)),
    gauge("system.filesystem.utilization", 0.31),
    gauge("system.cpu.load_average.1m", 4 * cpuAt(end)),
    gauge("system.uptime", end / 1000),
    counter("system.network.io", 2e6 * cpuAt(end), { "network.io.direction": "receive" }),
    counter("system.network.io", 3e5 * cpuAt(end), { "network.io.direction": "transmit" }),
    counter("system.disk.io", 5e6 * cpuAt(end), { "disk.io.direction": "write" }),
  ];
}

/** Connects, delivers `pastMs` of history, and goes on live until stopped. */
export async function startKnownAgent({ port, token, pastMs }) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/v1/ingest`, "telltale.v1");
  const epoch = `known-${Date.now()}`;
  let acked = -1;
  let seq = 0;
  const send = (frame) => socket.send(JSON.stringify(frame));
  socket.onopen = () => send({ type: "hello", token, agent: { id: name }, epochs: [epoch], interval_ms: stepMs, time: Date.now() });
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === "welcome") acked = 0;
    if (frame.type === "ack") acked = frame.seq;
    assert.ok(frame.type !== "error" && !frame.refused?.length, data);
  };
  await poll("the hub to welcome the agent", 60_000, () => acked === 0);
  let end = Math.floor((Date.now() - pastMs) / stepMs) * stepMs;
  const deliver = () => {
    const samples = [];
    for (; end - stepMs / 2 <= Date.now() && samples.length < 1000; end += stepMs) samples.push(...samplesAt(end));
    if (samples.length > 0) send({ type: "batch", epoch, seq: ++seq, samples });
  };
  while (end < Date.now() - 2 * stepMs) {
    deliver();
    await poll("the past to be stored", 60_000, () => acked === seq);
  }
  const timer = setInterval(deliver, 100);
  return {
    stop() {
      clearInterval(timer);
      socket.close();
    },
  };
}

/** Waits until the page's CPU chart has the known value in each window of (from, to]. */
export async function agree(page, what, from, to) {
  const [first, last] = [from, to].map((ms) => Math.floor(ms / stepMs) * stepMs);
  let wrong = [];
  await poll(`the chart to be complete: ${what}`, 60_000, async () => {
    const { windows } = await trendTable(page, "cpu");
    const byEnd = new Map(windows.map((w) => [w.end, w.values[0]]));
    wrong = [];
    for (let end = first + stepMs; end <= last; end += stepMs) {
      const found = byEnd.get(end) ?? null;
      if (found === null || Math.abs(found - cpuAt(end)) > 1e-9) wrong.push(`${end}: ${found} for ${cpuAt(end)}`);
    }
    return wrong.length === 0;
  }).catch((error) => {
    throw new Error(`${error.message}; ${wrong.length} windows are wrong: ${wrong.slice(0, 10).join(", ")}`);
  });
}
