// The way to a Telltale hub: keeps batches until they are stored, over any number of connections (docs/protocol.md).
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";

const maxHeld = 3600; // batches, an hour of one a second; beyond it the newest are dropped, and declared as a gap
const maxMessageBytes = 1 << 20; // the hub's longest frame, an ack with 1,000 refusals, is a tenth of this
const handshakeMs = 15_000;
const silenceMs = 75_000; // three of the hub's pings
const waitMs = { first: 500, longest: 30_000, final: 60_000 };

/** Whether coming back unchanged would not help: somebody has to mend something first. */
const isFinal = (code) => code >= 4000 && code < 4100;

export class Hub {
  #held = []; // frames that are not acknowledged, oldest first
  #flying = 0; // how many of them, from the first, went out on this connection
  #window = 0; // how many may
  #liveOnly = false; // the hub shows what comes and stores none of it: it has to come again
  #epoch = randomUUID(); // one per start: what a process held in memory is gone with it
  #seq = 0;
  #tries = 0;
  #closed = false;
  #socket;
  #again;

  /** `acknowledged` is called with the samples of each batch that is stored, without those that were refused. */
  constructor({ url, token, agent, acknowledged }) {
    Object.assign(this, { url, token, agent, acknowledged });
    this.#connect();
  }

  /** Queues samples (docs/protocol.md has their form) and sends them as soon as the hub takes them. */
  push(samples) {
    if (this.#held.length < maxHeld) {
      this.#held.push({ type: "batch", epoch: this.#epoch, seq: ++this.#seq, samples });
    } else {
      this.#drop(samples);
    }
    this.#send();
  }

  /** Waits until all is acknowledged, at most `timeoutMs`, and disconnects. Returns how many batches are not. */
  async close(timeoutMs) {
    for (const end = Date.now() + timeoutMs; this.#held.length > 0 && Date.now() < end; ) await sleep(20);
    this.#closed = true;
    clearTimeout(this.#again);
    this.#socket.close(1000);
    setTimeout(() => this.#socket.terminate(), 1000).unref(); // a hub that is gone answers no close
    return this.#held.length;
  }

  #drop(samples) {
    const now = Date.now();
    let gap = this.#held.at(-1);
    if (gap.type !== "gap" || this.#flying === this.#held.length) { // what was sent must not change
      gap = { type: "gap", epoch: this.#epoch, seq: this.#seq + 1, from: now, count: 0, reason: "queue_full" };
      this.#held.push(gap);
      console.error("the queue is full: samples are lost until the hub takes more");
    }
    Object.assign(gap, { to_seq: ++this.#seq, to: now, count: gap.count + samples.length });
  }

  #connect() {
    const socket = new WebSocket(`${this.url}/api/v1/ingest`, "telltale.v1", {
      headers: { Authorization: `Bearer ${this.token}` },
      handshakeTimeout: handshakeMs,
      maxPayload: maxMessageBytes,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    let refusal; // why the hub turns us away, in more words than the close code has
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.terminate(), silenceMs);
    };
    socket.on("open", () => {
      heard();
      socket.send(JSON.stringify({ type: "hello", agent: this.agent, epochs: [this.#epoch], interval_ms: 1000, time: Date.now() }));
    });
    socket.on("ping", heard);
    socket.on("message", (text) => {
      heard();
      const frame = JSON.parse(text);
      if (frame.type === "error") refusal = { text: frame.message, retryMs: frame.retry_ms };
      else this.#receive(frame);
    });
    socket.on("unexpected-response", (_request, { statusCode, statusMessage, headers }) => {
      refusal = { text: `HTTP ${statusCode} ${statusMessage}`, final: statusCode < 500, retryMs: 1000 * headers["retry-after"] };
      socket.terminate();
    });
    socket.on("error", (error) => (refusal ??= { text: error.message }));
    socket.on("close", (code, reason) => {
      clearTimeout(silence);
      this.#window = 0; // nothing may go out before the next welcome
      if (!this.#closed) this.#comeBack(code, refusal ?? { text: String(reason) });
    });
  }

  #comeBack(code, { text, final = isFinal(code), retryMs }) {
    const backOff = final ? waitMs.final : Math.min(waitMs.first * 2 ** this.#tries++, waitMs.longest);
    const wait = retryMs > 0 ? retryMs * (1 + Math.random()) : final ? backOff : backOff * (0.5 + Math.random() / 2);
    console.error(`disconnected (${code} ${text}), again in ${(wait / 1000).toFixed(1)} s`);
    this.#again = setTimeout(() => this.#connect(), wait);
  }

  #receive(frame) {
    switch (frame.type) {
      case "welcome":
        this.#tries = 0;
        this.#begin(frame.limits.max_in_flight, frame.live_only);
        this.#forget(frame.epochs[this.#epoch], []);
        console.error(`connected, ${this.#held.length} batches to send`);
        break;
      case "ack":
        this.#forget(frame.seq, frame.refused ?? []);
        if (frame.refused_unnamed > 0) console.error(`${frame.refused_unnamed} more samples were refused`);
        break;
      case "slow":
        if (this.#liveOnly && !frame.live_only) this.#begin(frame.max_in_flight, false);
        else this.#pace(frame.max_in_flight, frame.live_only);
        break;
      case "notice":
        console.error(`${frame.level}: ${frame.text}`);
        break;
    }
    this.#send();
  }

  /** From the first batch that is not stored. */
  #begin(window, liveOnly) {
    this.#flying = 0;
    this.#pace(window, liveOnly);
  }

  #pace(window, liveOnly = false) {
    this.#liveOnly = liveOnly;
    this.#window = liveOnly ? Infinity : Math.max(1, window); // what is only shown is not in flight
  }

  #forget(stored, refused) {
    for (const { seq, index, reason } of refused) console.error(`sample ${index} of batch ${seq} was refused: ${reason}`);
    while (this.#held.length > 0 && this.#held[0].seq <= stored) {
      const { seq, samples = [] } = this.#held.shift();
      if (this.#flying > 0) this.#flying--;
      const gone = new Set(refused.filter((r) => r.seq === seq).map((r) => r.index));
      this.acknowledged(samples.filter((_, index) => !gone.has(index)));
    }
  }

  #send() {
    while (this.#flying < Math.min(this.#window, this.#held.length)) {
      this.#socket.send(JSON.stringify(this.#held[this.#flying++]));
    }
  }
}
