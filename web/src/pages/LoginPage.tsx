import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { fetchSession, signIn } from "../api/hub";
import { HttpError } from "../api/http";
import { Logo } from "../components/icons";
import { span } from "../format/time";
import { go } from "../router";
import { t } from "../strings";

interface LoginProps {
  readonly next: string;
  /** The viewer was signed in before. */
  readonly ended: boolean;
}

export function LoginPage({ next, ended }: LoginProps): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [shown, setShown] = useState(false);

  useEffect(() => {
    document.title = `${t.signIn} – ${t.product}`;
    // Whoever is signed in already goes on; but not those just sent here, who may be signed in and yet refused.
    if (ended) return;
    fetchSession().then(
      () => {
        go(next, true);
      },
      () => undefined,
    );
  }, [next, ended]);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const field = (name: string): string => {
      const value = form.get(name);
      return typeof value === "string" ? value : "";
    };
    setBusy(true);
    setError("");
    try {
      await signIn(field("user"), field("password"));
      go(next, true);
    } catch (failure) {
      setError(explain(failure));
      setBusy(false);
    }
  };

  return (
    <main class="login">
      <form onSubmit={(event) => void submit(event)} aria-describedby="login-message">
        <h1><Logo /> {t.product}</h1>
        <p class="meta">{t.tagline}</p>
        <label>
          {t.user}
          <input name="user" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
        </label>
        <label>
          {t.password}
          <span class="password">
            {shown ? (
              <input key="password" name="password" type="text" autocomplete="current-password" autocapitalize="none" spellcheck={false} required />
            ) : (
              <input key="password" name="password" type="password" autocomplete="current-password" required />
            )}
            <button
              type="button"
              aria-pressed={shown}
              onClick={() => {
                setShown(!shown);
              }}
            >
              {shown ? t.hidePassword : t.showPassword}
            </button>
          </span>
        </label>
        <button type="submit" class="button primary" disabled={busy}>{busy ? t.signingIn : t.signIn}</button>
        <p id="login-message" class={error === "" ? "login-message meta" : "login-message bad"} role="alert">
          {error === "" ? (ended ? t.sessionEnded : "") : error}
        </p>
      </form>
    </main>
  );
}

function explain(failure: unknown): string {
  if (!(failure instanceof HttpError)) return t.signInFailed(String(failure));
  if (failure.status === 401) return t.wrongPassword;
  if (failure.status === 429) return t.tooMany(span(Math.max(1, failure.retryAfterS) * 1000));
  return t.signInFailed(failure.message);
}
