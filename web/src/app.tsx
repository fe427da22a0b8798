import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { DashboardRef } from "./api/hub";
import { Message } from "./components/Message";
import { useStore } from "./lib/store";
import { BoardPage } from "./pages/BoardPage";
import { LoginPage } from "./pages/LoginPage";
import { router } from "./router";
import { t } from "./strings";

export function App({ kiosk }: { readonly kiosk: boolean }): JSX.Element {
  const route = useStore(router, (state) => state.route);
  const agent = route.page === "host" ? route.agent : null;
  const id = route.page === "board" ? route.id : agent === null ? "overview" : "host";
  const target = useMemo<DashboardRef>(() => ({ id, agent }), [id, agent]);
  switch (route.page) {
    case "login":
      return <LoginPage next={route.next} ended={new URLSearchParams(location.search).has("ended")} />;
    case "unknown":
      return (
        <main>
          <Message title={t.unknownPage}><a class="button" href="/">{t.backToOverview}</a></Message>
        </main>
      );
    default:
      return <BoardPage key={`${id} ${agent ?? ""}`} target={target} kiosk={kiosk} />;
  }
}
