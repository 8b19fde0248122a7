// Requests to the API. The browser adds the login, a cookie that no script can read.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";

export class ApiError extends Error {
  constructor(readonly status: number, title: string, readonly fields: Record<string, string[]> = {}, readonly retryAfter = 0) {
    super(title);
  }
}

export const loggedOut = signal(false);
export const generation = signal(0); // raised where everything shown is to be loaded again

export interface Answer<T> { data: T; headers: Headers }
type Query = Record<string, string | number | undefined | null>;
interface Options { query?: Query | undefined; body?: unknown; signal?: AbortSignal | undefined; open?: boolean }

export function path(route: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value != null && value !== "") search.set(name, String(value));
  return `/api/v2${route}${search.size ? `?${search}` : ""}`;
}

export async function call<T>(method: string, route: string, options: Options = {}): Promise<Answer<T>> {
  let response: Response;
  try {
    response = await fetch(path(route, options.query), {
      method,
      credentials: "same-origin",
      signal: options.signal ?? null,
      headers: options.body === undefined ? {} : { "Content-Type": "application/json" },
      body: options.body === undefined ? null : JSON.stringify(options.body),
    });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer.", {}, 3);
  }
  const text = await response.text();
  let data: unknown = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(response.status, "The answer is not from Headrace. Is something between here and there?");
  }
  if (response.ok) return { data: data as T, headers: response.headers };
  const problem = data as { title?: string; errors?: Record<string, string[]> } | null;
  if (response.status === 401 && !options.open) loggedOut.value = true;
  throw new ApiError(response.status, problem?.title ?? `The answer was ${response.status}.`, problem?.errors, Number(response.headers.get("Retry-After") ?? 0));
}

export const get = <T>(route: string, query?: Query, signal?: AbortSignal) => call<T>("GET", route, { query, signal }).then((answer) => answer.data);
export const post = <T>(route: string, body?: unknown, query?: Query) => call<T>("POST", route, { body, query }).then((answer) => answer.data);

export interface Loaded<T> { data: T | undefined; error: ApiError | null; busy: boolean; again: () => void }

// What `load` returns, again whenever `key` changes; meanwhile the old answer stays. Outages are tried again by themselves.
export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string | null; data: T | undefined; error: ApiError | null; busy: boolean }>({ key: null, data: undefined, error: null, busy: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const round = generation.value;
  useEffect(() => {
    if (key === null) return;
    const controller = new AbortController();
    let timer = 0;
    setState((old) => ({ ...old, busy: true }));
    latest.current(controller.signal).then(
      (data) => controller.signal.aborted || setState({ key, data, error: null, busy: false }),
      (error: unknown) => {
        if (controller.signal.aborted) return;
        const failed = error instanceof ApiError ? error : new ApiError(-1, String(error));
        setState((old) => ({ key, data: old.key === key ? old.data : undefined, error: failed, busy: false }));
        if (failed.status === 0 || failed.status === 503) timer = window.setTimeout(() => setTurn((n) => n + 1), Math.min(30, Math.max(2, failed.retryAfter)) * 1000);
      },
    );
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key, turn, round]);
  return { data: state.data, error: state.error, busy: state.busy, again: () => setTurn((n) => n + 1) };
}

// The address in a `Link` header, by relation.
export function linked(headers: Headers, relation: string): URL | null {
  for (const part of (headers.get("Link") ?? "").split(/,\s*(?=<)/)) {
    const found = /^<([^>]*)>;\s*rel="([^"]*)"/.exec(part);
    if (found && found[2] === relation) return new URL(found[1]!, location.href);
  }
  return null;
}
