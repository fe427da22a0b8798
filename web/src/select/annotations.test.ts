import { describe, expect, it } from "vitest";
import { maxAnnotations } from "../api/hub";
import type { Annotation } from "../api/types";
import { annotationsAt, annotationsSummary, annotationsWithin, annotationTime, drawnAnnotations, mergeAnnotations, readDraft, timeMarks, windowOf } from "./annotations";

const start = Date.UTC(2026, 0, 5, 10, 41, 7);

const annotation = (id: string, more: Partial<Annotation> = {}): Annotation => ({
  id, start, end: null, kind: "deploy", title: id, text: "", tags: {}, author: "ci", updated: start, ...more,
});
const ids = (list: readonly Annotation[]): string[] => list.map(({ id }) => id);

describe("annotations", () => {
  it("are merged: the newest version of each, those that began last first, none that is over", () => {
    const known = mergeAnnotations([], [annotation("a"), annotation("b", { start: start + 1 })], 0);
    expect(ids(known)).toEqual(["b", "a"]);
    expect(mergeAnnotations(known, [annotation("a", { title: "old", updated: start - 1 })], 0)).toBe(known);
    const ended = annotation("a", { end: start + 9, updated: start + 9 });
    expect(mergeAnnotations(known, [ended], 0)[1]).toBe(ended);
    expect(ids(mergeAnnotations(known, [ended], start + 9))).toEqual(["a"]);
    const many = Array.from({ length: maxAnnotations + 1 }, (_, i) => annotation(`${i}`, { start: start + i }));
    expect(mergeAnnotations([], many, 0).at(-1)?.id).toBe("1");
  });

  it("are shown where they touch the time shown, and on the page of the host that they name", () => {
    const lasting = annotation("lasting", { end: start + 60_000 });
    const all = [annotation("moment"), lasting, annotation("of a", { tags: { agent: "a" } })];
    expect(ids(annotationsWithin(all, start - 1, start, null))).toEqual(["moment", "lasting", "of a"]);
    expect(ids(annotationsWithin(all, start, start + 1000, null))).toEqual(["lasting"]);
    expect(ids(annotationsWithin(all, start - 2, start - 1, null))).toEqual([]);
    expect(ids(annotationsWithin(all, start - 1, start, "a"))).toEqual(["moment", "lasting", "of a"]);
    expect(ids(annotationsWithin(all, start - 1, start, "b"))).toEqual(["moment", "lasting"]);
  });

  it("are found at a window, or near it", () => {
    const one = annotation("one", { start: start + 400 });
    expect(windowOf(one, 1000)).toBe(start + 1000);
    const at = (end: number, nearMs: number): number => annotationsAt([one], end, 1000, nearMs).length;
    expect([at(start, 0), at(start + 1000, 0), at(start + 2000, 0)]).toEqual([0, 1, 0]);
    expect([at(start - 4000, 5000), at(start - 5000, 5000), at(start + 6000, 5000), at(start + 7000, 5000)]).toEqual([1, 0, 1, 0]);
  });

  it("are marked beside what is lost, and only so many of them", () => {
    const gap = { agent: "a", from: 1, to: 2, count: null, reason: "corrupt" };
    expect(timeMarks([gap], [annotation("x", { end: start + 5 }), annotation("y", { kind: "incident" })])).toEqual([
      { from: 1, to: 2, word: "lost", tone: "lost" },
      { from: start, to: start + 5, word: "x", tone: "event" },
      { from: start, to: start, word: "y", tone: "incident" },
    ]);
    expect(timeMarks([], Array.from({ length: 50 }, (_, i) => annotation(`${i}`)))).toHaveLength(drawnAnnotations);
  });

  it("are told in words", () => {
    expect(annotationTime(annotation("a"), start)).toBe("10:41:07");
    expect(annotationTime(annotation("a", { end: start + 65_000 }), start)).toBe("10:41:07–10:42:12");
    expect(annotationTime(annotation("a"), start + 86_400_000)).toContain("Jan");
    const all = ["a", "b", "c", "d", "e"].map((id) => annotation(id));
    expect(annotationsSummary(all)).toBe("5 events: deploy a at 10:41, deploy b at 10:41, deploy c at 10:41, and 2 more");
    expect(annotationsSummary([annotation("db", { kind: "failover" })])).toBe("1 event: failover db at 10:41");
    expect(annotationsSummary([])).toBe("");
  });

  it("are read from a form", () => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ title: "x", kind: "note", text: "", start: "", end: "2026-01-05T10:41:07" })) form.set(name, value);
    expect(readDraft(form)).toEqual({ title: "x", kind: "note", text: "", start: null, end: start });
  });
});
