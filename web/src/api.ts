// Requests to the API. The browser adds the login, a cookie that no script can read.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { heard } from "./clock";

export class ApiError extends Error {
  constructor(readonly status: number, title: string, readonly fields: Record<string, string[]> = {}, readonly retryAfter = 0) {
    super(title);
  }
}

export const loggedOut = signal(false);
export const generation = signal(0); // raised where everything shown is to be loaded again
export const unanswered = signal(0);

const LONGEST_MS = 60_000; // the server stops a search after ten seconds; a dead connection says nothing for minutes

export interface Answer<T> { data: T; headers: Headers }
type Query = Record<string, string | number | undefined | null>;
interface Options { query?: Query | undefined; body?: unknown; signal?: AbortSignal | undefined; open?: boolean }

export function path(route: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value != null && value !== "") search.set(name, String(value));
  return `/api/v2${route}${search.size ? `?${search}` : ""}`;
}

export async function call<T>(method: string, route: string, options: Options = {}): Promise<Answer<T>> {
  const ending = new AbortController();
  const end = () => ending.abort();
  const timer = setTimeout(end, LONGEST_MS);
  options.signal?.addEventListener("abort", end);
  let response: Response;
  let text: string;
  unanswered.value++;
  try {
    response = await fetch(path(route, options.query), {
      method,
      credentials: "same-origin",
      signal: ending.signal,
      headers: options.body === undefined ? {} : { "Content-Type": "application/json" },
      body: options.body === undefined ? null : JSON.stringify(options.body),
    });
    heard(response.headers.get("Date"));
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "The server does not answer.");
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", end);
    unanswered.value--;
  }
  let data: unknown = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(response.status, "The answer is not from Headrace. Is something between here and there?");
  }
  if (response.ok) return { data: data as T, headers: response.headers };
  const problem = data as { title?: string; errors?: Record<string, string[]> } | null;
  const said = problem?.title?.replace(/; please try again( in a moment)?\.$/, ".");
  if (response.status === 401 && !options.open) loggedOut.value = true;
  throw new ApiError(response.status, said ?? `The answer was ${response.status}.`, problem?.errors, Number(response.headers.get("Retry-After") ?? 0));
}

export const get = <T>(route: string, query?: Query, signal?: AbortSignal) => call<T>("GET", route, { query, signal }).then((answer) => answer.data);
export const post = <T>(route: string, body?: unknown, query?: Query) => call<T>("POST", route, { body, query }).then((answer) => answer.data);

export interface Loaded<T> { data: T | undefined; error: ApiError | null; busy: boolean; again: () => void }

// Refused for now: the server is away, has no database, or has too much to do.
export const isOutage = (error: ApiError): boolean => [0, 429, 502, 503, 504].includes(error.status);

// What `load` returns, again whenever `key` changes; meanwhile the old answer stays. Outages are tried again by themselves,
// each time after twice as long: forty tabs must not hinder a server that recovers.
export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string | null; data: T | undefined; error: ApiError | null; busy: boolean }>({ key: null, data: undefined, error: null, busy: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const failures = useRef(0);
  const round = generation.value;
  useEffect(() => {
    if (key === null) return;
    const controller = new AbortController();
    let timer = 0;
    setState((old) => ({ ...old, busy: true }));
    latest.current(controller.signal).then(
      (data) => {
        if (controller.signal.aborted) return;
        failures.current = 0;
        setState({ key, data, error: null, busy: false });
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        const failed = error instanceof ApiError ? error : new ApiError(-1, String(error));
        setState((old) => ({ key, data: old.key === key ? old.data : undefined, error: failed, busy: false }));
        if (isOutage(failed)) timer = window.setTimeout(() => setTurn((n) => n + 1), Math.min(60, Math.max(2 * 2 ** Math.min(5, failures.current++), failed.retryAfter)) * 1000);
      },
    );
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key, turn, round]);
  return { data: state.data, error: state.error, busy: state.busy, again: () => setTurn((n) => n + 1) };
}

export const isPartial = (headers: Headers): boolean => headers.has("X-Headrace-Partial");

// What people should know about a list before they trust it.
export function remark(headers: Headers): string {
  return [
    headers.get("X-Headrace-Filter-Warning"),
    isPartial(headers) && "Time did not suffice to search everything: this is what was found so far.",
    headers.has("X-Headrace-Estimated") && "Numbers are estimated from a sample of the events; what is rare may be missing.",
  ].filter(Boolean).join(" ");
}

// The address in a `Link` header, by relation.
export function linked(headers: Headers, relation: string): URL | null {
  for (const part of (headers.get("Link") ?? "").split(/,\s*(?=<)/)) {
    const found = /^<([^>]*)>;\s*rel="([^"]*)"/.exec(part);
    if (found && found[2] === relation) return new URL(found[1]!, location.href);
  }
  return null;
}
