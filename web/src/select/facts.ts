import type { Agent } from "../api/types";
import { plain } from "../format/number";
import { sinceTime, span } from "../format/time";
import { t } from "../strings";

type Attributes = Readonly<Record<string, string>>;
export type Fact = readonly [name: string, value: string];

/** Attributes that are told as part of another fact, or tell nothing that it does not. */
const told = new Set([
  "os.name", "os.version", "os.type", "os.description", "os.kernel.version", "host.name", "host.arch", "host.cpu.count",
  "host.cpu.model.name", "host.memory.size", "host.boot_time", "host.virtualization",
]);

/** What is known of a host, for people: the operator's own labels first, then what it is, then what we have no name for. */
export function hostFacts({ agent, labels, attributes: a, clockOffsetMs }: Agent, nowMs: number): Fact[] {
  const known: (readonly [string, string | undefined])[] = [
    [t.facts.name, a["host.name"] === agent ? undefined : a["host.name"]],
    [t.facts.os, system(a)],
    [t.facts.kernel, a["os.kernel.version"]],
    [t.facts.cpu, a["host.cpu.count"] === undefined ? a["host.cpu.model.name"] : t.cores(a["host.cpu.count"], a["host.cpu.model.name"])],
    [t.facts.memory, memory(a["host.memory.size"])],
    [t.facts.arch, a["host.arch"]],
    [t.facts.virtual, a["host.virtualization"]],
    [t.facts.booted, booted(a["host.boot_time"], nowMs)],
    [t.facts.clock, clock(clockOffsetMs)],
  ];
  return [
    ...Object.entries(labels),
    ...known.filter((fact): fact is Fact => fact[1] !== undefined && fact[1] !== ""),
    ...Object.entries(a).filter(([name]) => !told.has(name)),
  ];
}

function system(a: Attributes): string | undefined {
  const name = a["os.name"];
  if (name === undefined) return a["os.description"] ?? a["os.type"];
  return `${name.charAt(0).toUpperCase()}${name.slice(1)} ${a["os.version"] ?? ""}`.trim();
}

function memory(bytes: string | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const size = Number(bytes);
  return size > 0 ? plain(size, "bytes", "By") : bytes;
}

/** Clocks that differ by less tell the same time to people. */
const notableOffsetMs = 1000;

function clock(ms: number | null): string | undefined {
  if (ms === null || Math.abs(ms) <= notableOffsetMs) return undefined;
  return ms > 0 ? t.ahead(span(ms)) : t.slow(span(-ms));
}

function booted(time: string | undefined, nowMs: number): string | undefined {
  if (time === undefined) return undefined;
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? time : sinceTime(ms, nowMs);
}
