import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../strings";
import { CloseIcon } from "./icons";

export function KeysDialog({ onClose }: { readonly onClose: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="keys" aria-labelledby="keys-title" onClose={onClose}>
      <header>
        <h2 id="keys-title">{t.keys}</h2>
        <button type="button" class="icon-button" aria-label={t.close} onClick={() => dialog.current?.close()}><CloseIcon /></button>
      </header>
      <dl>
        {t.keyList.map(([key, meaning]) => (
          <div key={key}>
            <dt><kbd>{key}</kbd></dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  );
}
