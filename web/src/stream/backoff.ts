/** The wait before try `attempt` (from 0): doubling from one second to half a minute, half of it random. */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(30_000, 1_000 * 2 ** Math.min(attempt, 5));
  return full * (0.5 + 0.5 * random);
}
