// The stream as a board uses it: shared between tabs, awake only while somebody may be looking.
import { fetchSession, refParams, type DashboardRef } from "../api/hub";
import { HttpError } from "../api/http";
import type { Snapshot, StreamEvent } from "../api/types";
import type { Link } from "./freshness";
import { SharedStream } from "./share";
import { StreamSource } from "./source";

export interface StreamPorts {
  readonly ref: DashboardRef;
  readonly lastId: () => number;
  readonly snapshot: () => Snapshot | null;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onLink: (link: Link) => void;
  readonly onUnauthorized: () => void;
  readonly onForeign: () => void;
}

/** A page hidden for this long closes its stream: radios sleep, and others may need the connection. */
const hiddenMs = 30_000;

export function streamUrl(ref: DashboardRef, lastId: number): string {
  const params = refParams(ref);
  params.set("dashboard", ref.id);
  if (lastId > 0) params.set("last_event_id", String(lastId));
  return `/api/v1/stream?${params.toString()}`;
}

async function sessionRefused(): Promise<boolean> {
  try {
    await fetchSession();
    return false;
  } catch (error) {
    return error instanceof HttpError && error.unauthorized;
  }
}

/** Opens the stream and keeps it; the returned function ends it. */
export function openStream(ports: StreamPorts): () => void {
  const source = new StreamSource({
    open: (url) => new EventSource(url),
    url: (lastId) => streamUrl(ports.ref, lastId),
    onEvent: (event) => {
      shared.publish(event);
    },
    onLink: (link) => {
      shared.publishLink(link);
    },
    onUnauthorized: () => {
      shared.publishUnauthorized();
    },
    refused: sessionRefused,
    onForeign: ports.onForeign,
  });
  const shared = new SharedStream({
    ...ports,
    key: streamUrl(ports.ref, 0),
    source,
    locks: "locks" in navigator ? navigator.locks : undefined,
    channel: "BroadcastChannel" in window ? (name) => new BroadcastChannel(name) : undefined,
  });
  const stopWatching = whileLookedAt(
    () => {
      shared.start();
      shared.kick();
    },
    () => {
      shared.stop();
    },
  );
  return () => {
    stopWatching();
    shared.stop();
  };
}

/** Calls `wake` when the page is shown or the network comes back, and `sleep` a while after the page was hidden. */
function whileLookedAt(wake: () => void, sleep: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = (): void => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") wake();
    else timer = setTimeout(sleep, hiddenMs);
  };
  const watch = new AbortController();
  const { signal } = watch;
  document.addEventListener("visibilitychange", look, { signal });
  window.addEventListener("online", look, { signal });
  window.addEventListener("pageshow", look, { signal });
  window.addEventListener("pagehide", sleep, { signal });
  if (document.visibilityState === "visible") wake();
  return () => {
    clearTimeout(timer);
    watch.abort();
  };
}
