import type { JSX } from "preact";
import { full } from "../format/number";
import { span } from "../format/time";
import type { StorageState } from "../select/storage";
import { t } from "../strings";

/** Says that agents send what they kept while history was behind. That it is behind is an exception, with the others. */
export function StorageNote({ storage }: { readonly storage: StorageState }): JSX.Element | null {
  if (storage.kind !== "draining") return null;
  const left = storage.leftMs === null ? "" : `, ${t.draining.left(span(storage.leftMs))}`;
  return (
    <li class="exception storage-note">
      <a href="/d/telltale">{t.draining.subject}</a>
      <span class="exception-text">{t.draining.text(full(storage.batches), storage.batches)}{left}</span>
    </li>
  );
}
