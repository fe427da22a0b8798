import type { JSX } from "preact";
import { sinceTime, span } from "../format/time";
import type { Exception, Status } from "../select/status";
import type { StorageState } from "../select/storage";
import { t } from "../strings";
import { FreshnessLabel, type FreshnessProps } from "./Freshness";
import { StatusMark } from "./icons";
import { StorageNote } from "./StorageNote";

export interface StripProps extends FreshnessProps {
  readonly status: Status;
  /** The status is a last known one. */
  readonly old: boolean;
  /** How long the page remembers, for exceptions older than that. */
  readonly memoryMs: number;
  readonly storage: StorageState;
}

const shownExceptions = 4;

export function StatusStrip({ status, old, memoryMs, storage, ...fresh }: StripProps): JSX.Element {
  const { level, exceptions, since } = status;
  const sentence = since === 0 ? status.sentence : `${status.sentence} ${t.since(sinceTime(since, fresh.nowMs))}`;
  return (
    <section class={`strip strip-${level}`} data-old={old} data-storage={storage.kind} aria-label={t.statusLabel}>
      <div class="strip-main">
        <h2 class="sentence" data-level={level}>
          <StatusMark level={old ? "unknown" : level} />
          <span>{old && fresh.newestMs > 0 ? t.lastKnown(sinceTime(fresh.newestMs, fresh.nowMs), sentence) : sentence}</span>
        </h2>
        <FreshnessLabel {...fresh} />
      </div>
      <ul class="exceptions" aria-label={t.exceptionsLabel}>
        {exceptions.slice(0, shownExceptions).map((e) => (
          <ExceptionItem key={`${e.subject} ${e.text.split(" ")[0] ?? ""}`} exception={e} nowMs={fresh.nowMs} memoryMs={memoryMs} />
        ))}
        {exceptions.length > shownExceptions && <li class="exception-more">{t.more(exceptions.length - shownExceptions)}</li>}
        <StorageNote storage={storage} />
        {exceptions.length === 0 && level === "ok" && storage.kind === "well" && <li class="exception-none">{t.nothingWrong}</li>}
      </ul>
    </section>
  );
}

interface ItemProps {
  readonly exception: Exception;
  readonly nowMs: number;
  readonly memoryMs: number;
}

function ExceptionItem({ exception, nowMs, memoryMs }: ItemProps): JSX.Element {
  const { level, subject, href, text, since } = exception;
  const when = since === 0 ? t.longerThan(span(memoryMs)) : t.since(sinceTime(since, nowMs));
  return (
    <li class={`exception exception-${level}`}>
      <StatusMark level={level} />
      <span class="sr">{t.level[level]}: </span>
      {href === "" ? <b>{subject}</b> : <a href={href}>{subject}</a>}
      <span class="exception-text">{text}</span>
      <span class="meta">{when}</span>
    </li>
  );
}
