import type { JSX } from "preact";
import { t } from "../strings";
import { Dialog } from "./Dialog";

export function KeysDialog({ onClose }: { readonly onClose: () => void }): JSX.Element {
  return (
    <Dialog title={t.keys} onClose={onClose}>
      <dl class="keys">
        {t.keyList.map(([key, meaning]) => (
          <div key={key}>
            <dt><kbd>{key}</kbd></dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
