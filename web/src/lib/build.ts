let first: string | null = null;

/** Whether the hub has another page than when this one first heard of it. */
export function isNewer(build: string): boolean {
  first ??= build;
  return build !== first;
}
