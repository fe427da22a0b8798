import { useEffect, useRef, useState } from "preact/hooks";

/** Renders again every second, so that ages grow while nothing arrives, and at once when the page is shown again. */
export function useSecond(): void {
  const [, set] = useState(0);
  useEffect(() => {
    const render = (): void => {
      if (document.visibilityState === "visible") set((n) => n + 1);
    };
    const timer = setInterval(render, 1000);
    document.addEventListener("visibilitychange", render);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", render);
    };
  }, []);
}

/** Calls `press` for keys pressed outside of text fields, without modifiers. */
export function useKeys(press: (key: string) => void): void {
  const current = useRef(press);
  current.current = press;
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof Element && event.target.closest("input, textarea, select") !== null) return;
      current.current(event.key);
    };
    window.addEventListener("keydown", listen);
    return () => {
      window.removeEventListener("keydown", listen);
    };
  }, []);
}
