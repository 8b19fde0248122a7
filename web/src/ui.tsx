// The parts that all pages are made of.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useErrorBoundary, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, isOutage, unanswered, type Loaded } from "./api";
import { tick } from "./clock";
import { ago, localTime, own } from "./format";
import { here, to } from "./url";
import type { Status } from "./types";

const ICONS = {
  alert: "M8 2 14.5 13.5h-13zM8 6.5v3M8 11.4v.1",
  lost: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 5v3.5M8 11v.1",
  lines: "M3 4.5h10M3 8h10M3 11.5h6",
  bars: "M3.5 13.5v-4M8 13.5v-11M12.5 13.5v-7",
  person: "M8 8a2.75 2.75 0 1 0 0-5.5A2.75 2.75 0 0 0 8 8M2.75 13.5c.6-2.6 2.6-4 5.25-4s4.65 1.4 5.25 4",
  dotted: "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3",
  check: "m3 8.5 3.3 3.3L13 4.8",
  back: "M12.5 5.5A5.3 5.3 0 1 0 13.3 8M13.5 2.5v3.2h-3.2",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5",
  ban: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M3.8 3.8l8.4 8.4",
  bin: "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3 14 14",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 4.5V8l2.5 1.5",
  down: "m4 6 4 4 4-4",
  right: "m6 4 4 4-4 4",
  left: "m10 4-4 4 4 4",
  cross: "m4 4 8 8M12 4l-8 8",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3v10l8-5z",
  plus: "M8 3v10M3 8h10",
  star: "m8 2.300 1.750 3.650 3.950.550-2.900 2.750.700 3.950L8 11.300l-3.500 1.900.700-3.950L2.300 6.500l3.950-.550z",
  columns: "M2.500 3.500h11v9h-11zM6.200 3.500v9M9.800 3.500v9",
  link: "M6.5 9.5l3-3M7 4.5l1-1a3 3 0 0 1 4.5 4.5l-1 1M9 11.5l-1 1A3 3 0 0 1 3.5 8l1-1",
  save: "M8 2.5v8M4.5 7.5 8 11l3.5-3.5M3 13.5h10",
  fire: "M8 14a4.3 4.3 0 0 0 4.3-4.3C12.3 6 9 5.500 9 2 6.500 3.500 6.500 6 6.500 7.500 5.500 7 5.300 6 5.300 6 4.300 7 3.700 8.300 3.700 9.700A4.300 4.300 0 0 0 8 14",
} as const;
export type IconName = keyof typeof ICONS;

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d={ICONS[name]} /></svg>
);

export const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="7" />
    <path d="M5 11c4-3 7-3 11 0s7 3 11 0M5 17c4-3 7-3 11 0s7 3 11 0M5 23c4-3 7-3 11 0s7 3 11 0" />
  </svg>
);

// Foreign text keeps its own direction; it only ever becomes a text node.
export const Said = ({ children, class: name = "" }: { children: ComponentChildren; class?: string }) => <span class={`said ${name}`}>{children}</span>;

export const Time = ({ at }: { at: string }) => {
  void tick.value;
  const date = new Date(at);
  return <time dateTime={at} title={`${localTime(date)}\n${date.toISOString?.() ?? at}`}>{ago(date)}</time>;
};

// A value that filters what the lists show.
export function Value({ field, value, children, page = "/events" }: { field: string; value: string | number | boolean; children?: ComponentChildren; page?: string }) {
  return <a class="value said" href={to(page, { filter: term(field, value) })} title={`Show events with ${field} like this`}>{children ?? String(value)}</a>;
}

export const term = (field: string, value: string | number | boolean): string => {
  const text = String(value);
  return `${field}:${/^[\p{L}\p{N}_][\p{L}\p{N}_.@-]*$/u.test(text) && !/^(AND|OR|NOT|TO)$/.test(text) ? text : `"${text.slice(0, 1000).replace(/["\\]/g, "\\$&")}"`}`;
};

const TYPES: Record<string, [IconName, string, string]> = {
  error: ["alert", "Error", "error"],
  log: ["lines", "Log", "log"],
  "404": ["lost", "404", "notfound"],
  usage: ["bars", "Feature", "usage"],
  session: ["person", "Session", "session"],
  sessionend: ["person", "Session end", "session"],
};

export function Type({ type, level }: { type: string; level?: string | undefined }) {
  const [icon, word, tone] = own(TYPES, type) ?? ["dotted", type || "Event", "log"];
  const known = level?.toLowerCase() ?? "";
  if (known === "fatal") return <span class="type fatal">{word} fatal</span>;
  return (
    <span class={`type ${known === "warn" ? "warn" : known === "error" ? "error" : tone}`}>
      <Icon name={icon} /> {word.slice(0, 30)}{known && known !== "error" ? ` ${known.slice(0, 12)}` : ""}
    </span>
  );
}

export const typeOf = (templateKey: string): string => {
  const kind = /^(?:event|stack)-(?:(\w+)-)?summary$/.exec(templateKey)?.[1] ?? "";
  return own({ error: "error", simple: "error", log: "log", feature: "usage", notfound: "404", session: "session" }, kind) ?? "";
};

const STATUSES: Record<Status, [IconName, string]> = {
  open: ["dotted", "Open"],
  fixed: ["check", "Fixed"],
  regressed: ["back", "Regressed"],
  snoozed: ["moon", "Snoozed"],
  ignored: ["ban", "Ignored"],
  discarded: ["bin", "Discarded"],
};

export function StatusWord({ status, more = "" }: { status: Status; more?: string }) {
  const [icon, word] = own(STATUSES, status) ?? STATUSES.open;
  return <span class={`status ${status}`}><Icon name={icon} /> {word}{more}</span>;
}

interface ButtonProps { children: ComponentChildren; onClick?: (() => unknown) | undefined; icon?: IconName; kind?: "main" | "bare" | "bad" | ""; disabled?: boolean; type?: "button" | "submit"; pressed?: boolean; label?: string; keys?: string; title?: string }
export function Button({ children, onClick, icon, kind = "", disabled = false, type = "button", pressed, label, keys, title }: ButtonProps) {
  const [busy, press] = useOnce(async () => { await onClick?.(); });
  return (
    <button type={type} class={`button ${kind}`} onClick={onClick && press} disabled={disabled} aria-busy={busy || undefined} aria-pressed={pressed} aria-label={label} title={title} data-key={keys} aria-keyshortcuts={keys}>
      {icon && <Icon name={icon} />}
      {children}
      {keys && <kbd aria-hidden="true">{keys}</kbd>}
    </button>
  );
}

// One call at a time: where the network is slow, people press again.
function useOnce<Args extends unknown[]>(action: (...args: Args) => Promise<void>): [boolean, (...args: Args) => Promise<void>] {
  const [busy, setBusy] = useState(false);
  const running = useRef(false);
  const run = async (...args: Args) => {
    if (running.current) return;
    running.current = true;
    const timer = setTimeout(() => setBusy(true), 100);
    try {
      await action(...args);
    } finally {
      clearTimeout(timer);
      running.current = false;
      setBusy(false);
    }
  };
  return [busy, run];
}

interface FormProps { onSubmit: (value: (name: string) => string, form: HTMLFormElement) => unknown; children: ComponentChildren; class?: string; problem?: string; explained?: (error: unknown) => string }

// It says at its own place why it was refused, and keeps what was typed.
export function Form({ onSubmit, children, class: name = "form", problem: first = "", explained = explain }: FormProps) {
  const [problem, setProblem] = useState("");
  const [busy, submit] = useOnce(async (form: HTMLFormElement) => {
    const values = new FormData(form);
    setProblem("");
    try {
      await onSubmit((name) => String(values.get(name) ?? ""), form);
    } catch (error) {
      setProblem(explained(error));
    }
  });
  return (
    <form class={name} aria-busy={busy || undefined} onSubmit={(event) => { event.preventDefault(); void submit(event.currentTarget); }}>
      {(problem || first) && <p class="problem" role="alert"><Icon name="alert" /> <span>{problem || first}</span></p>}
      {children}
    </form>
  );
}

// A refusal in one sentence; a change without an answer may have been made or not.
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  if (error.status === 0) return "The server does not answer, so it is not known whether this was done. Look, and try again.";
  return Object.values(error.fields).flat().join(" ") || error.message;
}

// Does what a button asks for and says at the foot whether it was done.
export async function attempt(action: () => Promise<unknown>, done: string, more: Omit<Toast, "text"> = {}): Promise<boolean> {
  try {
    await action();
  } catch (error) {
    say(error instanceof ApiError && error.status === 0 ? explain(error) : `Not done: ${explain(error)}`, { bad: true });
    return false;
  }
  if (done) say(done, more);
  return true;
}

// A thin line at the top while the server has not answered for a while; it moves nothing on the page.
export const Progress = () => (unanswered.value > 0 ? <div class="progress" aria-hidden="true" /> : null);

// Something was drawn that the page cannot draw: the rest of the app stays usable.
export function Guarded({ children }: { children: ComponentChildren }) {
  const [error, retry] = useErrorBoundary() as [Error | undefined, () => void];
  if (!error) return <>{children}</>;
  return (
    <section class="panel"><Empty page title="This page cannot be shown">
      <p>It met something that it does not know, perhaps because Headrace was upgraded while it was open: <code class="said">{String(error.message).slice(0, 200)}</code></p>
      <p class="row"><Button kind="main" onClick={() => location.reload()}>Load it again</Button><Button onClick={retry}>Try once more</Button><a class="button" href="/stacks">Go to the stacks</a></p>
    </Empty></section>
  );
}

export const Seg = ({ label, options, current }: { label: string; options: [string, string, (string | undefined)?][]; current: string | null }) => (
  <nav class="seg" aria-label={label}>
    {options.map(([name, href, more]) => (
      <a key={name} href={href} aria-current={current === name ? "true" : undefined}>{name}{more && <span class="n"> {more}</span>}</a>
    ))}
  </nav>
);

export function Menu({ label, text, children, end = false, icon, keys }: { label: string; text: ComponentChildren; children: ComponentChildren; end?: boolean; icon?: IconName; keys?: string }) {
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      const menu = box.current;
      if (!menu?.open) return;
      if (event instanceof KeyboardEvent) {
        if (event.key !== "Escape") return;
        menu.querySelector("summary")?.focus();
      } else if (menu.contains(event.target as Node)) return;
      menu.open = false;
    };
    document.addEventListener("pointerdown", close);
    document.addEventListener("focusin", close);
    document.addEventListener("keydown", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("focusin", close);
      document.removeEventListener("keydown", close);
    };
  }, []);
  const chosen = (event: MouseEvent) => {
    if ((event.target as Element).closest("a, button")) box.current!.open = false;
  };
  return (
    <details class="menu" ref={box}>
      <summary class={`button ${icon ? "" : "bare"}`} aria-label={label} data-key={keys} aria-keyshortcuts={keys}>{icon && <Icon name={icon} />}{text}<Icon name="down" /></summary>
      <div class={`pop ${end ? "end" : ""}`} onClick={chosen}>{children}</div>
    </details>
  );
}

export const Note = ({ tone = "", icon = "alert", children }: { tone?: "" | "warn" | "bad" | "good"; icon?: IconName; children: ComponentChildren }) => (
  <div class={`note ${tone}`} role={tone === "bad" ? "alert" : undefined}><Icon name={icon} /><div class="grow">{children}</div></div>
);

// `page`: it stands in place of a whole page, so that its title is the page's heading.
export const Empty = ({ title, children, page = false }: { title: string; children?: ComponentChildren; page?: boolean }) => (
  <div class="empty">{page ? <h1>{title}</h1> : <h2>{title}</h2>}{children}</div>
);

export function Bones({ rows = 6 }: { rows?: number }) {
  const [shown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), 300);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="bones" role="status" aria-label="Loading">
      {shown && Array.from({ length: rows }, (_, row) => <div key={row} class="bone-row"><span class="bone short" /><span class="bone" /></div>)}
    </div>
  );
}

// What stands in place of something that could not be loaded, and the way on.
export function Failure({ error, again }: { error: ApiError; again: () => void }) {
  if (error.status === 401) return <Note icon="lost">Your login has ended. What you see here stays as it is until you log in again.</Note>;
  if (error.status === 404) return <section class="panel"><Empty page title="Not found"><p>{error.message} It may have been deleted, or it belongs to an organization that you are not a member of.</p><p class="row"><a class="button" href="/stacks">Go to the stacks</a></p></Empty></section>;
  return (
    <Note tone="bad">
      {error.message} {isOutage(error) && "Trying again by itself; nothing is lost."} <button type="button" class="link" onClick={again}>Try now</button>
    </Note>
  );
}

export function Shown<T>({ loaded, children, rows }: { loaded: Loaded<T>; children: (data: T) => ComponentChildren; rows?: number }) {
  const { data, error, busy, again } = loaded;
  return (
    <>
      {error && <Failure error={error} again={again} />}
      {data === undefined ? !error && <Bones rows={rows ?? 6} /> : <div class={busy ? "stale" : undefined} aria-busy={busy || undefined}>{children(data)}</div>}
    </>
  );
}

// One line at the foot that says what was done, with the way back.
interface Toast { text: string; undo?: (() => unknown) | undefined; bad?: boolean }
export const toast = signal<Toast | null>(null);
let toastTimer = 0;
export function say(text: string, more: Omit<Toast, "text"> = {}): void {
  toast.value = { text, ...more };
  clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => (toast.value = null), more.undo || more.bad ? 12_000 : 5_000);
}

export const Toasts = () => (
  <div class="toasts" role="status" aria-live="polite">
    {toast.value && (
      <div class={`toast ${toast.value.bad ? "bad" : ""}`}>
        {toast.value.text}
        {toast.value.undo && <Button kind="bare" keys="z" onClick={() => { const undo = toast.value?.undo; toast.value = null; undo?.(); }}>Undo</Button>}
        <button type="button" class="button bare" aria-label="Close" onClick={() => (toast.value = null)}><Icon name="cross" /></button>
      </div>
    )}
  </div>
);

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS browsers give no clipboard; the old way still works.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied.`);
}

export const CopyButton = ({ text, what, children = "Copy" }: { text: string; what: string; children?: ComponentChildren }) => (
  <Button icon="copy" onClick={() => copy(text, what)} label={`Copy ${what.toLowerCase()}`}>{children}</Button>
);

export function Dialog({ title, children, onClose }: { title: string; children: ComponentChildren; onClose: () => void }) {
  const box = useRef<HTMLDialogElement>(null);
  // Before anything else happens: the next key is already typed into it.
  useLayoutEffect(() => {
    const opener = document.activeElement;
    box.current?.showModal();
    return () => { if (opener instanceof HTMLElement) opener.focus(); };
  }, []);
  return (
    <dialog class="sheet" ref={box} onClose={onClose} aria-label={title}>
      <div class="sheet-head"><h2>{title}</h2><button type="button" class="button bare" aria-label="Close" onClick={() => box.current?.close()}><Icon name="cross" /></button></div>
      {children}
    </dialog>
  );
}

export const Pager = ({ newer, older }: { newer: string | null; older: string | null }) =>
  newer || older ? (
    <nav class="pager" aria-label="Pages">
      {newer ? <a class="button" href={newer} data-key="p"><Icon name="left" /> Newer</a> : <span />}
      {older ? <a class="button" href={older} data-key="n">Older <Icon name="right" /></a> : <span />}
    </nav>
  ) : null;

export const Tabs = ({ label, tabs, current }: { label: string; tabs: [string, string][]; current: string }) => (
  <nav class="tabs" aria-label={label}>
    {tabs.map(([id, name]) => <a key={id} href={here({ tab: id })} aria-current={id === current ? "page" : undefined}>{name}</a>)}
  </nav>
);

export const Facts = ({ children }: { children: ComponentChildren }) => <dl class="facts">{children}</dl>;
export const Fact = ({ name, children }: { name: string; children: ComponentChildren }) => <><dt>{name}</dt><dd>{children}</dd></>;
