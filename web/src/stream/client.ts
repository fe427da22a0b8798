// The stream as a board uses it: shared between tabs, awake only while somebody may be looking.
import { refParams, type DashboardRef } from "../api/hub";
import type { Snapshot, StreamEvent } from "../api/types";
import { hiddenGraceMs, payAttention } from "./attention";
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

function streamUrl(ref: DashboardRef): string {
  const params = refParams(ref);
  params.set("dashboard", ref.id);
  return `/api/v1/stream?${params.toString()}`;
}

function fetchStream(url: string, lastId: number, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (lastId > 0) headers["Last-Event-ID"] = String(lastId);
  return fetch(url, { headers, signal, credentials: "same-origin", cache: "no-store" });
}

/** Opens the stream and keeps it; the returned function ends it. */
export function openStream(ports: StreamPorts): () => void {
  const url = streamUrl(ports.ref);
  const channel = "BroadcastChannel" in window ? (name: string) => new BroadcastChannel(name) : undefined;
  const link = watchNetwork(ports.onLink);
  const source = new StreamSource({
    open: (lastId, signal) => fetchStream(url, lastId, signal),
    onEvent: (event) => {
      shared.publish(event);
    },
    onLink: (now) => {
      shared.publishLink(now);
    },
    onUnauthorized: () => {
      shared.publishUnauthorized();
    },
    onForeign: ports.onForeign,
  });
  const shared = new SharedStream({
    ...ports,
    onLink: link.set,
    key: url,
    source,
    locks: "locks" in navigator ? navigator.locks : undefined,
    channel,
  });
  const stopWatching = payAttention({
    wake: () => {
      shared.start();
      shared.kick();
    },
    sleep: () => {
      shared.stop();
    },
    kick: () => {
      shared.kick();
    },
    channel,
    key: url,
    graceMs: hiddenGraceMs(),
  });
  return () => {
    stopWatching();
    link.stop();
  };
}

/** Says "offline" in place of the link's own state while the device has no network. */
function watchNetwork(say: (link: Link) => void): { readonly set: (link: Link) => void; readonly stop: () => void } {
  let own: Link = "opening";
  const tell = (): void => {
    say(navigator.onLine ? own : "offline");
  };
  const watch = new AbortController();
  window.addEventListener("online", tell, { signal: watch.signal });
  window.addEventListener("offline", tell, { signal: watch.signal });
  return {
    set: (link) => {
      own = link;
      tell();
    },
    stop: () => {
      watch.abort();
    },
  };
}
