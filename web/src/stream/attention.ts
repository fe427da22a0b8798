// When a page needs its stream: while somebody may be looking, and a while longer.

export interface AttentionPorts {
  readonly wake: () => void;
  readonly sleep: () => void;
  /** The network came back: what was given up may work again. */
  readonly kick: () => void;
  /** Opens what tabs tell each other by that they are shown; absent where they cannot speak to each other. */
  readonly channel: ((name: string) => BroadcastChannel) | undefined;
  /** What this page shows: those that show the same share a stream. */
  readonly key: string;
  readonly graceMs: number;
}

/**
 * How long a page keeps its stream after it was hidden. On a desk it is mostly a short look at something else; in a
 * pocket each second of radio is paid for by the battery.
 */
export function hiddenGraceMs(): number {
  return window.matchMedia("(pointer: coarse)").matches ? 5_000 : 60_000;
}

/** Calls `wake` and `sleep` as the page is shown and hidden, frozen or left, until the returned function is called. */
export function payAttention(ports: AttentionPorts): () => void {
  let channel: BroadcastChannel | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const leave = (): void => {
    clearTimeout(timer);
    // With a channel, a stream or a lock left open a page is not kept for the way back.
    channel?.close();
    channel = undefined;
    ports.sleep();
  };
  const listen = (): BroadcastChannel | undefined => {
    const opened = ports.channel?.("telltale-shown");
    // A browser opens six connections to one address over HTTP/1.1: hidden pages give theirs to what is looked at.
    if (opened !== undefined) {
      opened.onmessage = (message: MessageEvent<string>) => {
        if (document.visibilityState !== "visible" && message.data !== ports.key) leave();
      };
    }
    return opened;
  };
  const look = (): void => {
    clearTimeout(timer);
    if (document.visibilityState !== "visible") {
      timer = setTimeout(leave, ports.graceMs);
      return;
    }
    channel ??= listen();
    channel?.postMessage(ports.key);
    ports.wake();
  };
  const watch = new AbortController();
  const { signal } = watch;
  document.addEventListener("visibilitychange", look, { signal });
  document.addEventListener("freeze", leave, { signal });
  document.addEventListener("resume", look, { signal });
  window.addEventListener("pageshow", look, { signal });
  window.addEventListener("pagehide", leave, { signal });
  window.addEventListener("online", ports.kick, { signal });
  if (document.visibilityState === "visible") look();
  return () => {
    watch.abort();
    leave();
  };
}
