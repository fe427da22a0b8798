import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { recordAnnotation } from "../api/hub";
import { HttpError } from "../api/http";
import type { Annotation } from "../api/types";
import { readDraft } from "../select/annotations";
import { t } from "../strings";
import { Dialog } from "./Dialog";

interface AddAnnotationProps {
  readonly onAdded: (annotation: Annotation) => void;
  readonly onClose: () => void;
}

/** What the hub takes. */
const maxTitle = 200;
const maxText = 2000;

/** A form for what has happened. It stays open, filled in as it is, until the hub has stored it. */
export function AddAnnotation({ onAdded, onClose }: AddAnnotationProps): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const errorId = useId();
  // Sent again after an answer that was lost, it is still one event.
  const [key] = useState(() => `page-${crypto.getRandomValues(new BigUint64Array(1))[0]}`);

  const submit = async (form: HTMLFormElement): Promise<void> => {
    const draft = readDraft(new FormData(form));
    if (draft.end !== null && draft.end < (draft.start ?? Date.now())) {
      setError(t.endBeforeStart);
      return;
    }
    setBusy(true);
    setError("");
    try {
      onAdded(await recordAnnotation(draft, key));
      form.closest("dialog")?.close();
    } catch (failure) {
      setError(t.notAdded(failure instanceof HttpError ? failure.message : String(failure)));
      setBusy(false);
    }
  };

  return (
    <Dialog title={t.addEvent} onClose={onClose}>
      <form
        class="form"
        aria-describedby={errorId}
        onSubmit={(event) => {
          event.preventDefault();
          void submit(event.currentTarget);
        }}
      >
        <label>{t.eventTitle}<input name="title" required maxLength={maxTitle} pattern=".*\S.*" autocomplete="off" autofocus /></label>
        <label>
          {t.eventKind}
          <select name="kind">
            {["note", "deploy", "incident"].map((kind) => <option key={kind} value={kind}>{t.eventKinds[kind]}</option>)}
          </select>
        </label>
        <div class="form-pair">
          <label>{t.eventStart}<input name="start" type="datetime-local" step={1} /><span class="meta">{t.eventStartHint}</span></label>
          <label>{t.eventEnd}<input name="end" type="datetime-local" step={1} /><span class="meta">{t.eventEndHint}</span></label>
        </div>
        <label>{t.eventText}<textarea name="text" rows={3} maxLength={maxText} /></label>
        <p id={errorId} class="form-message bad" role="alert">{error}</p>
        <button type="submit" class="button primary" disabled={busy}>{busy ? t.addingEvent : t.addEvent}</button>
      </form>
    </Dialog>
  );
}
