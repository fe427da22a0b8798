// What has happened (deploys, incidents, notes), as charts and lists show it.
import { maxAnnotations } from "../api/hub";
import type { Annotation, AnnotationDraft, DeclaredGap } from "../api/types";
import type { TimeMark } from "../charts/times";
import { clockTime, dayTime, minuteTime } from "../format/time";
import { t } from "../strings";

/** More marks than this make a chart unreadable; the list has the rest. */
export const drawnAnnotations = 20;

const lastMoment = ({ start, end }: Annotation): number => end ?? start;

/** What is known with what was heard, in the newest version of each; what ended before `from` is forgotten. The same list where nothing is new. */
export function mergeAnnotations(known: readonly Annotation[], heard: readonly Annotation[], from: number): readonly Annotation[] {
  const byId = new Map(known.map((annotation) => [annotation.id, annotation]));
  for (const annotation of heard) {
    if ((byId.get(annotation.id)?.updated ?? -1) < annotation.updated) byId.set(annotation.id, annotation);
  }
  const merged = [...byId.values()]
    .filter((annotation) => lastMoment(annotation) >= from)
    .sort((a, b) => b.start - a.start || a.id.localeCompare(b.id))
    .slice(0, maxAnnotations);
  return merged.length === known.length && merged.every((annotation, i) => annotation === known[i]) ? known : merged;
}

/** Those that touch the time after `from` and up to `to`. On a host's page those that are tagged with another host are left out. */
export function annotationsWithin(all: readonly Annotation[], from: number, to: number, agent: string | null): readonly Annotation[] {
  const other = (annotation: Annotation): boolean => agent !== null && (annotation.tags["agent"] ?? agent) !== agent;
  return all.filter((annotation) => annotation.start <= to && lastMoment(annotation) > from && !other(annotation));
}

/** Those of the window that ends at `end`, or so near it that they are drawn there. */
export function annotationsAt(shown: readonly Annotation[], end: number, stepMs: number, nearMs: number): readonly Annotation[] {
  return shown.filter((annotation) => annotation.start < end + nearMs && lastMoment(annotation) >= end - stepMs - nearMs);
}

/** End of the window in which it began. */
export const windowOf = ({ start }: Annotation, stepMs: number): number => (Math.floor(start / stepMs) + 1) * stepMs;

/** What is marked in charts: lost samples, and what has happened. */
export function timeMarks(gaps: readonly DeclaredGap[], shown: readonly Annotation[]): TimeMark[] {
  const lost = gaps.map(({ from, to }): TimeMark => ({ from, to, word: t.lostMark, tone: "lost" }));
  const happened = shown.slice(0, drawnAnnotations).map(
    (annotation): TimeMark => ({
      from: annotation.start,
      to: lastMoment(annotation),
      word: annotation.title,
      tone: annotation.kind === "incident" ? "incident" : "event",
    }),
  );
  return [...lost, ...happened];
}

export const kindWord = (kind: string): string => t.eventKinds[kind] ?? kind;

/** 10:41:07, or 10:41:07–10:52:00, with the day where it is long ago. */
export function annotationTime({ start, end }: Annotation, nowMs: number): string {
  const time = nowMs - start < 12 * 3_600_000 ? clockTime : dayTime;
  return end === null || end === start ? time(start) : `${time(start)}–${time(end)}`;
}

const told = 3;

/** For those who do not see the marks: "2 events: deploy shop 1.4.2 at 10:41, incident db at 10:30". */
export function annotationsSummary(shown: readonly Annotation[]): string {
  const parts = shown.slice(0, told).map(({ kind, title, start }) => t.eventAt(kindWord(kind), title, minuteTime(start)));
  if (shown.length > told) parts.push(t.andMore(shown.length - told));
  return shown.length === 0 ? "" : t.eventsAre(t.events(shown.length), parts);
}

/** What a form says. Times are in the browser's zone, as everywhere on the page. */
export function readDraft(form: FormData): AnnotationDraft {
  const field = (name: string): string => {
    const value = form.get(name);
    return typeof value === "string" ? value : "";
  };
  const time = (name: string): number | null => (field(name) === "" ? null : new Date(field(name)).getTime());
  return { title: field("title"), kind: field("kind"), text: field("text"), start: time("start"), end: time("end") };
}
