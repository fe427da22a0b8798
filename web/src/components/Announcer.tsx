import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const everyMs = 10_000;

/** Speaks changes of the status to a screen reader: the newest one, at most every ten seconds. What is critical does not wait. */
export function Announcer({ text, critical }: { readonly text: string; readonly critical: string }): JSX.Element {
  const [said, setSaid] = useState("");
  const last = useRef({ text, at: 0 });
  useEffect(() => {
    if (text === last.current.text) return undefined;
    const wait = Math.max(0, last.current.at + everyMs - Date.now());
    const timer = setTimeout(() => {
      last.current = { text, at: Date.now() };
      setSaid(text);
    }, wait);
    return () => {
      clearTimeout(timer);
    };
  }, [text]);
  return (
    <>
      <p class="sr" role="status" aria-live="polite">{said}</p>
      <p class="sr" role="alert">{critical}</p>
    </>
  );
}
