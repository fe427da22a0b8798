import { decodeRefusal } from "./decode";
import { t } from "../strings";

/** A request the hub refused (status > 0) or that never reached it (status 0). */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfterS = 0,
  ) {
    super(message);
  }

  /** The session is missing, expired or not allowed here: only signing in helps. */
  get unauthorized(): boolean {
    return this.status === 401 || this.status === 403;
  }

  /** Trying again later can help; a refusal of the request itself stays refused. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const timeoutMs = 20_000;

/** Sends one request and returns its JSON, or undefined where the answer has no body. */
export async function request(method: "GET" | "POST", path: string, body?: unknown): Promise<unknown> {
  const init: RequestInit = { method, credentials: "same-origin", signal: AbortSignal.timeout(timeoutMs) };
  if (method === "POST") {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(body ?? {});
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new HttpError(0, t.unreachable);
  }
  const answer = await readJson(response);
  if (response.ok) return answer;
  const message = decodeRefusal(answer)?.message ?? t.refused(response.status);
  throw new HttpError(response.status, message, Number(response.headers.get("Retry-After")) || 0);
}

async function readJson(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined;
  try {
    return await response.json();
  } catch {
    if (response.ok) throw new HttpError(0, t.unreadable);
    return undefined;
  }
}
