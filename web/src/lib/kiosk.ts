import { useEffect } from "preact/hooks";

const shiftEveryMs = 60_000;
const shifts = [[0, 0], [1, 0], [1, 1], [0, 1]] as const;

/** Keeps a wall screen awake and unburnt: wake lock, and the picture moves by a pixel each minute. */
export function useKiosk(enabled: boolean): void {
  useEffect(() => {
    if (!enabled) return undefined;
    document.documentElement.dataset["kiosk"] = "1";
    let step = 0;
    const timer = setInterval(() => {
      const [x, y] = shifts[++step % shifts.length] ?? shifts[0];
      document.body.style.translate = `${x}px ${y}px`;
    }, shiftEveryMs);
    const keepAwake = (): void => {
      if (document.visibilityState !== "visible" || !("wakeLock" in navigator)) return;
      // Refused on low battery: the screen then sleeps as its owner set it.
      navigator.wakeLock.request("screen").catch(() => undefined);
    };
    keepAwake();
    document.addEventListener("visibilitychange", keepAwake);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", keepAwake);
      delete document.documentElement.dataset["kiosk"];
      document.body.style.translate = "";
    };
  }, [enabled]);
}
