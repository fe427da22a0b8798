import { t } from "../strings";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" });

/** 10:41:07 */
export const clockTime = (ms: number): string => clock.format(ms);

/** 10:41 */
export const minuteTime = (ms: number): string => minute.format(ms);

const dayClock = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** 5 Jan, 10:41:07 */
export const dayTime = (ms: number): string => dayClock.format(ms);

export const fullTime = (ms: number): string => full.format(ms);

/** 10:41 where that is enough, and with the day where it is long ago. */
export function sinceTime(ms: number, nowMs: number): string {
  return nowMs - ms < 12 * 3_600_000 ? minute.format(ms) : `${day.format(ms)}, ${minute.format(ms)}`;
}

/** The short name of the viewer's time zone. */
export function zoneName(ms: number): string {
  return zone.formatToParts(ms).find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** An age or a range in its one or two largest units: "12 s", "4 min", "2 h 5 min". */
export function span(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return t.span(seconds, "s");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return t.span(minutes, "min");
  const hours = Math.floor(minutes / 60);
  if (hours >= 24) return t.span(Math.floor(hours / 24), "d");
  return minutes % 60 === 0 ? t.span(hours, "h") : `${t.span(hours, "h")} ${t.span(minutes % 60, "min")}`;
}
