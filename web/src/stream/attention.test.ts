import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hiddenGraceMs, payAttention } from "./attention";
import { Browser, Wire } from "./fake";

/** A tab's document and window, as far as they tell that somebody looks. */
class Page {
  readonly document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  readonly window = Object.assign(new EventTarget(), { matchMedia: (query: string) => ({ matches: this.coarse && query === "(pointer: coarse)" }) });
  coarse = false;
  readonly calls: string[] = [];

  show(visible: boolean): void {
    this.document.visibilityState = visible ? "visible" : "hidden";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  attend(key = "overview", wire?: Wire): () => void {
    vi.stubGlobal("document", this.document);
    vi.stubGlobal("window", this.window);
    const call = (name: string) => () => this.calls.push(name);
    const graceMs = hiddenGraceMs();
    return payAttention({ wake: call("wake"), sleep: call("sleep"), kick: call("kick"), channel: wire?.channel, key, graceMs });
  }
}

describe("attention", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it.each([["on a desk", false, 60_000], ["in a pocket", true, 5_000]])("%s sleeps a while after it was hidden, and wakes when shown", (_, coarse, graceMs) => {
    const page = new Page();
    page.coarse = coarse;
    page.attend();
    page.show(false);
    vi.advanceTimersByTime(graceMs - 1);
    expect(page.calls).toEqual(["wake"]);
    vi.advanceTimersByTime(1);
    expect(page.calls).toEqual(["wake", "sleep"]);
    page.show(true);
    expect(page.calls).toEqual(["wake", "sleep", "wake"]);
    page.show(false);
    page.show(true);
    vi.advanceTimersByTime(600_000);
    expect(page.calls).toEqual(["wake", "sleep", "wake", "wake"]);
  });

  it("opens nothing in a tab that was opened in the background", () => {
    const page = new Page();
    page.document.visibilityState = "hidden";
    page.attend();
    expect(page.calls).toEqual([]);
    page.show(true);
    expect(page.calls).toEqual(["wake"]);
  });

  it("sleeps at once when frozen or left, and wakes on the way back", () => {
    const page = new Page();
    page.attend();
    for (const [away, back] of [["freeze", "resume"], ["pagehide", "pageshow"]] as const) {
      page.calls.length = 0;
      (away === "freeze" ? page.document : page.window).dispatchEvent(new Event(away));
      expect(page.calls).toEqual(["sleep"]);
      (away === "freeze" ? page.document : page.window).dispatchEvent(new Event(back));
      expect(page.calls).toEqual(["sleep", "wake"]);
    }
  });

  it("tries again when the network comes back, hidden or not", () => {
    const page = new Page();
    page.attend();
    page.show(false);
    page.window.dispatchEvent(new Event("online"));
    expect(page.calls).toEqual(["wake", "kick"]);
  });

  it("gives its connection to a page that is looked at, unless it is shared with that one", async () => {
    const browser = new Browser();
    const page = new Page();
    const other = new Wire(browser).channel("telltale-shown");
    const heard: unknown[] = [];
    other.onmessage = (message) => heard.push(message.data);
    const says = async (key: string): Promise<void> => {
      other.postMessage(key);
      await vi.advanceTimersByTimeAsync(0);
    };
    const stop = page.attend("overview", new Wire(browser));
    await says("host?agent=web-1");
    page.show(false);
    await says("overview");
    expect(page.calls).toEqual(["wake"]);
    await says("host?agent=web-1");
    expect(page.calls).toEqual(["wake", "sleep"]);
    page.show(true);
    await says("overview");
    expect(heard).toEqual(["overview", "overview"]);
    expect(page.calls).toEqual(["wake", "sleep", "wake"]);
    stop();
    expect(browser.channels.get("telltale-shown")?.size).toBe(1);
  });

  it("listens to nothing once it is stopped", () => {
    const page = new Page();
    page.attend()();
    page.show(false);
    page.show(true);
    page.window.dispatchEvent(new Event("online"));
    vi.advanceTimersByTime(600_000);
    expect(page.calls).toEqual(["wake", "sleep"]);
  });
});
