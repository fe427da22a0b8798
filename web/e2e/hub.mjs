// Starts, kills and reads the programs under test.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const bin = process.env.TELLTALE_BIN ?? fileURLToPath(new URL("../../bin", import.meta.url));
export const password = "end-to-end-password";
export const agentToken = "end-to-end-agent-token";

function program(name) {
  const path = join(bin, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run "make build" first`);
  return path;
}

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Reads the line the hub prints at its start: `clickhouse  http://127.0.0.1:PORT  user analyst  password ...`. */
export function parseClickHouse(output) {
  const found = /^\s*clickhouse\s+(https?:\/\/\S+).*?\buser\s+(\S+)\s+password\s+(\S+)/im.exec(output);
  return found === null ? null : { url: found[1], user: found[2], password: found[3] };
}

class Program {
  output = "";

  constructor(name, args, env) {
    this.name = name;
    this.child = spawn(program(name), args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        this.output = (this.output + text).slice(-200_000);
      });
    }
    this.ended = once(this.child, "exit");
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Sends the signal and waits for the end; kills what does not end by itself. */
  async end(signal) {
    if (this.running) this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 30_000);
    await this.ended;
    clearTimeout(timer);
  }
}

export async function startHub({ port, data }) {
  const url = `http://127.0.0.1:${port}`;
  const hub = new Program("telltale", ["serve", "--listen", `127.0.0.1:${port}`, "--data", data], {
    TELLTALE_ADMIN_PASSWORD: password,
    TELLTALE_AGENT_TOKEN: agentToken,
  });
  await poll("the hub to be ready", 120_000, async () => {
    if (!hub.running) throw new Error(`the hub ended:\n${hub.output}`);
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    return answer?.ok;
  }).catch((error) => {
    hub.child.kill("SIGKILL");
    throw new Error(`${error.message}\n${hub.output}`);
  });
  return Object.assign(hub, { url });
}

export function startAgent({ port, state, args = [] }) {
  return new Program("telltale-agent", ["--hub", `ws://127.0.0.1:${port}`, "--token", agentToken, "--interval", "1s", "--spool", state, ...args], {});
}

/** Runs one of the hub's commands to its end and returns what it prints. */
export const command = (args) => execFileSync(program("telltale"), args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

/** The process id of the hub's ClickHouse, its child. */
export function clickhousePid(hub) {
  const tasks = `/proc/${hub.child.pid}/task`;
  const children = readdirSync(tasks).flatMap((task) => readFileSync(join(tasks, task, "children"), "utf8").trim().split(" ").filter(Boolean));
  if (children.length === 0) throw new Error("the hub has no child process");
  return Number(children[0]);
}

/** Calls `check` until it returns something, and returns that. */
export async function poll(what, timeoutMs, check) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
