import type { JSX } from "preact";
import type { ShownNotice } from "../store/state";
import { t } from "../strings";
import { CloseIcon, StatusMark } from "./icons";

interface NoticesProps {
  readonly notices: readonly ShownNotice[];
  readonly outdated: "no" | "newer" | "foreign";
  readonly onDismiss: (id: number) => void;
}

/** What the hub has to tell, over the page, so that nothing moves. */
export function Notices({ notices, outdated, onDismiss }: NoticesProps): JSX.Element {
  return (
    <div class="notices">
      {outdated !== "no" && (
        <div class="notice notice-info">
          <p>{outdated === "newer" ? t.newer : t.foreign}</p>
          <button
            type="button"
            class="button"
            onClick={() => {
              location.reload();
            }}
          >
            {t.reload}
          </button>
        </div>
      )}
      {notices.map((notice) => (
        <div key={notice.id} class={`notice notice-${notice.level}`} role={notice.level === "critical" ? "alert" : "status"}>
          {notice.level !== "info" && <StatusMark level={notice.level} />}
          <p>{notice.text}</p>
          <button
            type="button"
            class="icon-button"
            aria-label={t.dismiss}
            onClick={() => {
              onDismiss(notice.id);
            }}
          >
            <CloseIcon />
          </button>
        </div>
      ))}
    </div>
  );
}
