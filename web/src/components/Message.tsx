import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { t } from "../strings";

interface MessageProps {
  readonly title: string;
  readonly children?: ComponentChildren;
}

/** What stands in place of content that is not there. */
export function Message({ title, children }: MessageProps): JSX.Element {
  return (
    <section class="message">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

export function NoAgents(): JSX.Element {
  const command = t.agentCommand(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`);
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard.writeText(command).then(
      () => {
        setCopied(true);
      },
      () => {
        setCopied(false);
      },
    );
  };
  return (
    <Message title={t.noAgents}>
      <p>{t.noAgentsHint}</p>
      <div class="command">
        <code>{command}</code>
        {"clipboard" in navigator && <button type="button" class="button" onClick={copy}>{copied ? t.copied : t.copy}</button>}
      </div>
    </Message>
  );
}
