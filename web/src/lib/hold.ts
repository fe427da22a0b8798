import { useEffect, useRef, useState } from "preact/hooks";

export interface HoldHandlers {
  readonly onPointerMove?: (event: PointerEvent) => void;
  readonly onPointerLeave?: () => void;
  readonly onKeyDown?: (event: KeyboardEvent) => void;
  readonly onFocusOut?: () => void;
}

/** A pointer left lying on a chart must not freeze it for ever. */
const forgetMs = 30_000;

/** Says whether somebody is reading values with a pointer or the keyboard right now. */
export function useHold(enabled: boolean): [boolean, HoldHandlers] {
  const [held, setHeld] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const release = (): void => {
    clearTimeout(timer.current);
    setHeld(false);
  };
  const hold = (): void => {
    clearTimeout(timer.current);
    timer.current = setTimeout(release, forgetMs);
    setHeld(true);
  };
  useEffect(() => release, []);
  if (!enabled) return [false, {}];
  const move = (event: PointerEvent): void => {
    if (event.pointerType === "mouse" && event.target instanceof Element && event.target.closest(".plot") !== null) hold();
    else if (event.pointerType === "mouse") release();
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key === "Escape") release();
    else hold();
  };
  return [held, { onPointerMove: move, onPointerLeave: release, onKeyDown: press, onFocusOut: release }];
}
