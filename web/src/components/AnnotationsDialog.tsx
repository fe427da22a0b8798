import type { JSX } from "preact";
import type { Annotation } from "../api/types";
import { annotationTime, drawnAnnotations, kindWord } from "../select/annotations";
import { t } from "../strings";
import { Dialog } from "./Dialog";
import { AnnotationMark } from "./icons";

interface AnnotationsDialogProps {
  readonly shown: readonly Annotation[];
  readonly nowMs: number;
  readonly onClose: () => void;
}

/** All that has happened in the time shown, with all that is said of it. */
export function AnnotationsDialog({ shown, nowMs, onClose }: AnnotationsDialogProps): JSX.Element {
  return (
    <Dialog title={t.events(shown.length)} onClose={onClose}>
      {shown.length > drawnAnnotations && <p class="meta">{t.eventsMarked(drawnAnnotations)}</p>}
      <ul class="annotation-list" tabIndex={0} aria-label={t.eventsLabel}>
        {shown.map((annotation) => (
          <li key={annotation.id}>
            <h3><AnnotationMark kind={annotation.kind} />{annotation.title}</h3>
            <p class="meta">{kindWord(annotation.kind)}, <time>{annotationTime(annotation, nowMs)}</time>, {annotation.author}</p>
            {annotation.text !== "" && <p class="annotation-text">{annotation.text}</p>}
            <p class="meta tags">{Object.entries(annotation.tags).map(([name, value]) => <span key={name}>{name}={value}</span>)}</p>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
