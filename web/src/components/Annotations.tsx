import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Annotation } from "../api/types";
import { minuteTime } from "../format/time";
import { kindWord, windowOf } from "../select/annotations";
import { t } from "../strings";
import { AddAnnotation } from "./AddAnnotation";
import { AnnotationsDialog } from "./AnnotationsDialog";
import { AddIcon, AnnotationMark } from "./icons";

interface AnnotationsProps {
  /** In the time that the charts show, the newest first. */
  readonly shown: readonly Annotation[];
  readonly stepMs: number;
  readonly nowMs: number;
  /** Stands the cursor of all charts at the end of a window, or takes it away. */
  readonly onPoint: (end: number | null) => void;
  /** Null where the viewer may not add any. */
  readonly onAnnotate: ((annotation: Annotation) => void) | null;
}

const named = 3;

/** The legend of the charts' marks: the newest by name, and the way to all of them. Pointing at one points at it in every chart. */
export function Annotations({ shown, stepMs, nowMs, onPoint, onAnnotate }: AnnotationsProps): JSX.Element {
  const [open, setOpen] = useState<"all" | "add" | null>(null);
  const close = (): void => {
    setOpen(null);
  };
  const openAll = (): void => {
    setOpen("all");
  };
  return (
    <div class="annotations">
      <ul aria-label={t.eventsLabel}>
        {shown.slice(0, named).map((annotation) => (
          <li key={annotation.id}>
            <Named annotation={annotation} onOpen={openAll} onPoint={(here) => { onPoint(here ? windowOf(annotation, stepMs) : null); }} />
          </li>
        ))}
      </ul>
      {shown.length > 0 && (
        <button type="button" class="annotation annotation-all" data-more={shown.length > named} aria-haspopup="dialog" onClick={openAll}>
          <span class="wide">{t.andMore(shown.length - named)}</span>
          <span class="narrow">{t.events(shown.length)}</span>
        </button>
      )}
      {onAnnotate !== null && (
        <button type="button" class="icon-button" title={t.addEvent} aria-label={t.addEvent} aria-haspopup="dialog" onClick={() => { setOpen("add"); }}>
          <AddIcon />
        </button>
      )}
      {open === "all" && <AnnotationsDialog shown={shown} nowMs={nowMs} onClose={close} />}
      {open === "add" && onAnnotate !== null && <AddAnnotation onAdded={onAnnotate} onClose={close} />}
    </div>
  );
}

interface NamedProps {
  readonly annotation: Annotation;
  readonly onOpen: () => void;
  readonly onPoint: (here: boolean) => void;
}

function Named({ annotation, onOpen, onPoint }: NamedProps): JSX.Element {
  const { id, kind, title, start } = annotation;
  const point = (): void => {
    onPoint(true);
  };
  const leave = (): void => {
    onPoint(false);
  };
  return (
    <button
      type="button"
      class="annotation"
      data-event={id}
      aria-haspopup="dialog"
      onClick={onOpen}
      onMouseEnter={point}
      onMouseLeave={leave}
      onFocus={point}
      onBlur={leave}
    >
      <AnnotationMark kind={kind} />
      <span class="sr">{kindWord(kind)}</span>
      <time>{minuteTime(start)}</time>
      <span class="annotation-title">{title}</span>
    </button>
  );
}
