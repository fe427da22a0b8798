// Readers of untyped JSON. Each names the place of what it refuses; fields nobody asks for are ignored.

export class DecodeError extends Error {}

export type Json = Readonly<Record<string, unknown>>;

function refuse(at: string, want: string): never {
  throw new DecodeError(`${at}: expected ${want}`);
}

export function object(value: unknown, at: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(at, "an object");
  return value as Json;
}

export function list<T>(value: unknown, at: string, item: (value: unknown, at: string) => T): T[] {
  if (!Array.isArray(value)) refuse(at, "a list");
  return value.map((entry, i) => item(entry, `${at}[${i}]`));
}

export function record<T>(value: unknown, at: string, item: (value: unknown, at: string) => T): Record<string, T> {
  const out: Record<string, T> = {};
  for (const [key, entry] of Object.entries(object(value, at))) out[key] = item(entry, `${at}.${key}`);
  return out;
}

export function text(value: unknown, at: string): string {
  if (typeof value !== "string") refuse(at, "a string");
  return value;
}

export function number(value: unknown, at: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) refuse(at, "a finite number");
  return value;
}

export function bool(value: unknown, at: string): boolean {
  if (typeof value !== "boolean") refuse(at, "true or false");
  return value;
}

export function nullable<T>(value: unknown, at: string, item: (value: unknown, at: string) => T): T | null {
  return value === undefined || value === null ? null : item(value, at);
}

export function oneOf<T extends string>(value: unknown, at: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  return found ?? refuse(at, `one of ${choices.join(", ")}`);
}
