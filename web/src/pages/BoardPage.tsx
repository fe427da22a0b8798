import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { signOut, type DashboardRef } from "../api/hub";
import type { Dashboard } from "../api/types";
import { KeysDialog } from "../components/KeysDialog";
import { Message } from "../components/Message";
import { Notices } from "../components/Notices";
import { Skeleton } from "../components/Skeleton";
import { TopBar } from "../components/TopBar";
import { useKeys } from "../lib/hooks";
import { useKiosk } from "../lib/kiosk";
import { useStore } from "../lib/store";
import { chooseTheme, nextTheme, theme } from "../lib/theme";
import { go, goToSignIn, keepView } from "../router";
import { Board } from "../store/board";
import { t } from "../strings";
import { BoardView } from "./BoardView";

interface BoardPageProps {
  readonly target: DashboardRef;
  readonly kiosk: boolean;
}

/** A host's page is called by its host, every other by its own title. */
export function boardTitle(target: DashboardRef, dashboard: Dashboard | null): string {
  return target.agent ?? (target.id === "overview" ? t.overview : (dashboard?.title ?? ""));
}

/** Wall screens load a new page by themselves: not all at once, and not over and over where that does not help. */
const reloadAfterMs = 20_000;

/** A dashboard with everything around it. One board lives as long as its page is shown. */
export function BoardPage({ target, kiosk }: BoardPageProps): JSX.Element {
  const board = useMemo(() => new Board({ ref: target, onUnauthorized: goToSignIn }), [target.id, target.agent]);
  useEffect(() => {
    board.start();
    return () => {
      board.stop();
    };
  }, [board]);
  const state = useStore(board.store, (s) => s);
  const [help, setHelp] = useState(false);
  useKiosk(kiosk);
  const title = boardTitle(target, state.dashboard);

  useEffect(() => {
    if (!kiosk || state.outdated === "no") return undefined;
    const timer = setTimeout(() => {
      location.reload();
    }, reloadAfterMs * (1 + Math.random()));
    return () => {
      clearTimeout(timer);
    };
  }, [kiosk, state.outdated]);

  const pause = (): void => {
    if (!kiosk) board.togglePause();
  };
  useKeys((key) => {
    if (key === "p" || key === "P") pause();
    else if (key === "t" || key === "T") chooseTheme(nextTheme(theme.get().choice));
    else if (key === "o" || key === "O") go(keepView("/"));
    else if (key === "?") setHelp(!help);
  });

  const leave = (): void => {
    // Whether the hub heard it or not, this page shows nothing more: an unheard sign-out shows again when the page asks.
    signOut().then(
      () => {
        go("/login");
      },
      () => {
        go("/login");
      },
    );
  };

  return (
    <>
      <a class="skip" href="#content">{t.skip}</a>
      {!kiosk && (
        <TopBar
          title={title}
          inner={target.id !== "overview"}
          paused={state.paused}
          onPause={pause}
          onHelp={() => {
            setHelp(true);
          }}
          onSignOut={leave}
        />
      )}
      <main id="content" tabIndex={-1}>
        {kiosk && <h1 class="sr">{title}</h1>}
        <Content board={board} kiosk={kiosk} />
      </main>
      <Notices
        notices={state.notices}
        outdated={state.outdated}
        onDismiss={(id) => {
          board.dismissNotice(id);
        }}
      />
      {help && (
        <KeysDialog
          onClose={() => {
            setHelp(false);
          }}
        />
      )}
    </>
  );
}

function Content({ board, kiosk }: { readonly board: Board; readonly kiosk: boolean }): JSX.Element {
  const { phase, dashboard, agents } = useStore(board.store, (s) => s);
  const { agent } = board.ref;
  const unknown = agent !== null && agents !== null && !agents.some((known) => known.agent === agent);
  if (phase.kind === "missing" || (unknown && phase.kind === "ready" && board.grid?.newest === 0)) {
    return (
      <Message title={agent === null ? t.unknownPage : t.unknownHost(agent)}>
        {agent !== null && <p>{t.unknownHostHint}</p>}
        <a class="button" href="/">{t.backToOverview}</a>
      </Message>
    );
  }
  if (phase.kind === "failed") {
    return (
      <Message title={t.failed}>
        <p>{phase.message}. {t.retrying}</p>
        <button
          type="button"
          class="button"
          onClick={() => {
            board.retry();
          }}
        >
          {t.tryNow}
        </button>
      </Message>
    );
  }
  if (dashboard === null || board.grid === null) return <Skeleton />;
  return <BoardView board={board} dashboard={dashboard} grid={board.grid} title={boardTitle(board.ref, dashboard)} kiosk={kiosk} />;
}
