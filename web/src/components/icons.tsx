import type { ComponentChildren, JSX } from "preact";
import type { Level } from "../select/level";

interface IconProps {
  readonly children: ComponentChildren;
}

function Icon({ children }: IconProps): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round">
      {children}
    </svg>
  );
}

export const PauseIcon = (): JSX.Element => <Icon><path d="M5.5 3.5v9M10.5 3.5v9" stroke-width="2" /></Icon>;
export const PlayIcon = (): JSX.Element => <Icon><path d="M5 3.2v9.6l7.5-4.8z" fill="currentColor" /></Icon>;
export const HelpIcon = (): JSX.Element => <Icon><path d="M5.8 6.2A2.2 2.2 0 1 1 8 8.6v.9M8 12.2v.01" /></Icon>;
export const OutIcon = (): JSX.Element => <Icon><path d="M6.5 2.5h-3v11h3M10 5l3 3-3 3M13 8H6.5" /></Icon>;
export const BackIcon = (): JSX.Element => <Icon><path d="M9.5 3.5 5 8l4.5 4.5" /></Icon>;
export const CloseIcon = (): JSX.Element => <Icon><path d="m4 4 8 8M12 4l-8 8" /></Icon>;
export const TableIcon = (): JSX.Element => <Icon><path d="M2.5 3.5h11v9h-11zM2.5 6.5h11M6.5 6.5v6" /></Icon>;
export const ChartIcon = (): JSX.Element => <Icon><path d="M2.5 2.5v11h11M5 10l2.5-3 2 1.8L13 5" /></Icon>;
export const PulseIcon = (): JSX.Element => <Icon><path d="M1.5 8.5h3l2-5 3 9 2-4h3" /></Icon>;
export const AutoIcon = (): JSX.Element => <Icon><circle cx="8" cy="8" r="5.5" /><path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor" /></Icon>;
export const DarkIcon = (): JSX.Element => <Icon><path d="M13 9.4A5.5 5.5 0 1 1 6.6 3a4.4 4.4 0 0 0 6.4 6.4z" /></Icon>;
export const LightIcon = (): JSX.Element => (
  <Icon><circle cx="8" cy="8" r="2.8" /><path d="M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M12.6 3.4l-.7.7M4.1 11.9l-.7.7" /></Icon>
);

export const AddIcon = (): JSX.Element => <Icon><path d="M8 3.5v9M3.5 8h9" /></Icon>;

const annotationSigns: Readonly<Record<string, JSX.Element>> = {
  deploy: <Icon><path d="M8 13V3.5M4 7.5l4-4 4 4" /></Icon>,
  incident: <Icon><path d="M8 2 14.6 13.6H1.4zM8 6.5v3M8 11.6v.01" /></Icon>,
};
const flag = <Icon><path d="M4 14V2.5h8.5l-2.5 3 2.5 3H4" /></Icon>;

/** The sign of what has happened; the word stands beside it. */
export function AnnotationMark({ kind }: { readonly kind: string }): JSX.Element {
  return <span class={`event-mark event-${kind === "incident" ? kind : "other"}`}>{annotationSigns[kind] ?? flag}</span>;
}

/** The inside of each status's shape, in a box of 16: used on the page and, in colour, as the tab's icon. */
export const shapes: Readonly<Record<Level, string>> = {
  ok: '<circle cx="8" cy="8" r="5"/>',
  warning: '<path d="M8 2 14.6 13.6H1.4z"/>',
  critical: '<rect x="2.5" y="2.5" width="11" height="11" rx="1.5"/>',
  unknown: '<circle cx="8" cy="8" r="5" fill="none" stroke-width="2"/>',
};

/** Shape and colour of a status; the word stands beside it. */
export function StatusMark({ level }: { readonly level: Level }): JSX.Element {
  return (
    <svg
      class={`mark mark-${level}`}
      viewBox="0 0 16 16"
      aria-hidden="true"
      fill="currentColor"
      stroke="currentColor"
      dangerouslySetInnerHTML={{ __html: shapes[level] }}
    />
  );
}

/** The product's sign: a lamp. */
export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
      <circle cx="16" cy="16" r="12" fill="none" stroke="currentColor" stroke-width="3" />
      <circle cx="16" cy="16" r="5.5" fill="currentColor" />
    </svg>
  );
}
