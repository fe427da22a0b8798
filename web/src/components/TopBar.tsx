import type { JSX } from "preact";
import { useStore } from "../lib/store";
import { chooseTheme, nextTheme, theme } from "../lib/theme";
import { t } from "../strings";
import { AutoIcon, BackIcon, DarkIcon, HelpIcon, LightIcon, Logo, OutIcon, PauseIcon, PlayIcon, PulseIcon } from "./icons";

interface TopBarProps {
  readonly title: string;
  /** Another page than the overview, which leads back to it. */
  readonly inner: boolean;
  readonly paused: boolean;
  readonly onPause: () => void;
  readonly onHelp: () => void;
  readonly onSignOut: () => void;
}

const themeIcons = { auto: AutoIcon, dark: DarkIcon, light: LightIcon } as const;

export function TopBar({ title, inner, paused, onPause, onHelp, onSignOut }: TopBarProps): JSX.Element {
  const choice = useStore(theme, (state) => state.choice);
  const ThemeIcon = themeIcons[choice];
  return (
    <header class="top">
      <a class="brand" href="/" aria-label={`${t.product}, ${t.overview}`}>
        <Logo />
        <span>{t.product}</span>
      </a>
      <h1 class="where">
        {inner && <a href="/" class="back"><BackIcon />{t.overview}</a>}
        <span>{title}</span>
      </h1>
      <div class="controls">
        <IconButton label={`${paused ? t.resume : t.pause} (P)`} pressed={paused} onClick={onPause}>{paused ? <PlayIcon /> : <PauseIcon />}</IconButton>
        <IconButton
          label={`${t.theme[choice]} (T)`}
          onClick={() => {
            chooseTheme(nextTheme(choice));
          }}
        >
          <ThemeIcon />
        </IconButton>
        <a class="icon-button" href="/d/telltale" title={t.itself} aria-label={t.itself}><PulseIcon /></a>
        <IconButton label={`${t.keys} (?)`} onClick={onHelp}><HelpIcon /></IconButton>
        <IconButton label={t.signOut} onClick={onSignOut}><OutIcon /></IconButton>
      </div>
    </header>
  );
}

interface IconButtonProps {
  readonly label: string;
  readonly pressed?: boolean;
  readonly onClick: () => void;
  readonly children: JSX.Element;
}

function IconButton({ label, pressed, onClick, children }: IconButtonProps): JSX.Element {
  return <button type="button" class="icon-button" title={label} aria-label={label} aria-pressed={pressed} onClick={onClick}>{children}</button>;
}
