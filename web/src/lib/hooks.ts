import { useEffect, useRef, useState } from "preact/hooks";

/** Renders again every second, so that ages grow while nothing arrives. */
export function useSecond(): void {
  const [, set] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") set((n) => n + 1);
    }, 1000);
    return () => {
      clearInterval(timer);
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
