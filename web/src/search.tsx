// The search box with its suggestions, and the time range.
import { computed, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "./api";
import { now, tick } from "./clock";
import { dayTime, number, own, zone } from "./format";
import { scope } from "./session";
import type { Count } from "./types";
import { Icon, Menu } from "./ui";
import { go, here, place, query } from "./url";
import { ViewsMenu } from "./views";

const FIELDS: [string, string][] = [
  ["type", "error, log, 404, usage, session"], ["status", "of the stack"], ["message", "words"], ["source", "logger, feature, path"], ["tag", "as a whole"],
  ["level", "of a log"], ["user", "identity or address"], ["version", "2.1 finds 2.1.3"], ["error.type", "of the error and its causes"], ["error.message", ""], ["error.targetmethod", ""],
  ["path", "of the request"], ["machine", ""], ["browser", ""], ["os", ""], ["device", ""], ["country", ""], ["ip", ""], ["reference", "to the letter"], ["date", "a day, or [from TO to]"],
  ["value", ">20, [10 TO 20]"], ["first", "true: made its stack"], ["critical", "true or false"], ["bot", "true or false"], ["title", "of the stack"], ["stack", "id"], ["project", "id"],
  ["user.name", ""], ["user.description", "what the user wrote"], ["data.", "your own data"], ["ref.session", "a session's id"],
];
const FIXED: Record<string, [string, string][]> = {
  status: [["open", "not dealt with"], ["regressed", "was fixed, is back"], ["fixed", ""], ["snoozed", ""], ["ignored", ""], ["discarded", ""], ["(open OR regressed)", "what needs somebody"]],
  first: [["true", ""], ["false", ""]],
  critical: [["true", ""], ["false", ""]],
  bot: [["true", ""], ["false", ""]],
  date: [["now/d", "today"], ["[now-1d/d TO now/d}", "yesterday"]],
};
const ASKED = new Set(["type", "tag", "level", "source", "version", "error.type", "machine", "browser", "os", "device", "country", "user", "path", "reference"]);

interface Suggestion { text: string; hint: string; insert: string }

// What an answer said about the filter: an error at its place, or hints.
export const filterProblem = signal<string>("");

export function SearchBox({ fallback = "", timeless = false }: { fallback?: string; timeless?: boolean }) {
  const current = filterText(fallback);
  const [text, setText] = useState(current);
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const [values, setValues] = useState<{ key: string; found: [string, string][] }>({ key: "", found: [] });
  const input = useRef<HTMLInputElement>(null);
  const [caret, setCaret] = useState(text.length);
  useEffect(() => { setText(current); }, [current]);

  const word = /[^\s()]*$/.exec(text.slice(0, caret))?.[0] ?? "";
  const colon = word.indexOf(":");
  const sign = /^[-!+]/.exec(word)?.[0] ?? "";
  const field = colon > 0 ? word.slice(sign.length, colon) : "";
  const begun = colon > 0 ? word.slice(colon + 1).replace(/^"/, "") : word.slice(sign.length);
  useEffect(() => {
    if (!open || !ASKED.has(field)) return;
    const key = `${scope()}|${field}|${query("time")}`;
    if (values.key === key) return;
    const controller = new AbortController();
    get<Count>(`${scope()}/events/count`, { time: timeText(), aggregations: `terms:${field}~20` }, controller.signal).then(
      (count) => setValues({ key, found: (Object.values(count.aggregations)[0]?.items ?? []).map((item) => [item.key_as_string, number(item.total)]) }),
      () => undefined,
    );
    return () => controller.abort();
  }, [open, field, scope(), query("time")]);

  const suggestions: Suggestion[] = [];
  if (colon > 0) {
    const known = own(FIXED, field) ?? (values.key.split("|")[1] === field ? values.found : []);
    for (const [value, hint] of known) {
      if (!value.toLowerCase().startsWith(begun.toLowerCase())) continue;
      const quoted = own(FIXED, field) || /^[\p{L}\p{N}_][\p{L}\p{N}_.@-]*$/u.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
      suggestions.push({ text: value, hint, insert: `${sign}${field}:${quoted} ` });
    }
  } else {
    for (const [name, hint] of FIELDS) if (name.startsWith(begun.toLowerCase())) suggestions.push({ text: `${name}${name.endsWith(".") ? "" : ":"}`, hint, insert: `${sign}${name}${name.endsWith(".") ? "" : ":"}` });
    if (begun === "" && text.trim()) suggestions.push({ text: "OR", hint: "one of both", insert: "OR " }, { text: "NOT", hint: "not the next", insert: "NOT " });
  }
  const shown = suggestions.slice(0, 9);

  const search = (value: string) => {
    setOpen(false);
    filterProblem.value = "";
    go(here({ filter: value.trim() === fallback ? null : value.trim() }));
  };
  const take = (suggestion: Suggestion) => {
    const start = caret - word.length;
    const next = text.slice(0, start) + suggestion.insert + text.slice(caret).replace(/^ /, "");
    setText(next);
    setChosen(-1);
    const at = start + suggestion.insert.length;
    setCaret(at);
    requestAnimationFrame(() => { input.current?.focus(); input.current?.setSelectionRange(at, at); });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      setOpen(true);
      setChosen((n) => (shown.length ? (n + (event.key === "ArrowDown" ? 1 : -1) + shown.length + (n < 0 && event.key === "ArrowUp" ? 1 : 0)) % shown.length : -1));
      event.preventDefault();
    } else if (event.key === "Tab" && open && chosen >= 0 && shown[chosen]) {
      take(shown[chosen]);
      event.preventDefault();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (open && chosen >= 0 && shown[chosen]) take(shown[chosen]);
      else search(text);
    } else if (event.key === "Escape") {
      if (open) setOpen(false);
      else input.current?.blur();
      event.stopPropagation();
    }
  };
  const problem = filterProblem.value;
  return (
    <form class="query" role="search" aria-label="Search" onSubmit={(event) => { event.preventDefault(); search(text); }}>
      <div class="search">
        <label class={`field ${problem ? "wrong" : ""}`}>
          <Icon name="search" />
          <input
            ref={input} type="search" aria-label="Filter" data-key="/" placeholder="All; try type:error or a word" value={text} spellcheck={false} autocomplete="off" autocapitalize="off"
            aria-autocomplete="list" aria-controls="suggestions" aria-activedescendant={open && chosen >= 0 ? `suggestion-${chosen}` : undefined} aria-invalid={problem ? true : undefined} aria-describedby={problem ? "filter-problem" : undefined}
            maxLength={8000}
            onInput={(event) => { setText(event.currentTarget.value); setCaret(event.currentTarget.selectionStart ?? 0); setOpen(true); setChosen(-1); }}
            onFocus={() => setOpen(true)}
            onClick={(event) => { setCaret(event.currentTarget.selectionStart ?? 0); setOpen(true); }}
            onKeyUp={(event) => setCaret(event.currentTarget.selectionStart ?? 0)}
            onBlur={() => setOpen(false)}
            onKeyDown={onKeyDown}
          />
          {text && <button type="button" class="clear" aria-label="Clear the filter" onMouseDown={(event) => event.preventDefault()} onClick={() => { setText(""); search(""); }}><Icon name="cross" /></button>}
          <kbd aria-hidden="true">/</kbd>
        </label>
        <div class="pop" hidden={!open || !shown.length} onMouseDown={(event) => event.preventDefault()}>
          <p class="head">{field ? `Values of ${field}` : "Fields"}</p>
          <div role="listbox" id="suggestions" aria-label="Suggestions">
            {shown.map((suggestion, index) => (
              <div key={suggestion.text} id={`suggestion-${index}`} role="option" class="opt" aria-selected={index === chosen} onClick={() => take(suggestion)}>
                <code>{suggestion.text}</code><span class="faint">{suggestion.hint}</span>
              </div>
            ))}
          </div>
          <p class="head keys"><kbd>↓</kbd> choose <kbd>Tab</kbd> take <kbd>Enter</kbd> search <kbd>Esc</kbd> close</p>
        </div>
      </div>
      <ViewsMenu />
      {!timeless && <TimeMenu />}
      {problem && <p class="problem" id="filter-problem" role="alert"><Icon name="alert" /> {problem}</p>}
    </form>
  );
}

// The filter of the address, or that of the page where the address has none; an empty one shows everything.
export const filterText = (fallback = ""): string => place.value.searchParams.get("filter") ?? fallback;

const RANGES: [string, string, string][] = [["last hour", "Last hour", "1"], ["last 24 hours", "Last 24 hours", "2"], ["last 7 days", "Last 7 days", "3"], ["last 30 days", "Last 30 days", "4"], ["all", "All that is kept", "5"]];
export const DEFAULT_TIME = "last 7 days";
export const timeText = (): string => query("time") || DEFAULT_TIME;
const DAY = 86_400_000;

// The bounds of the range, for charts; what is kept at all is 30 days or more, so `all` is drawn as 30 days.
export const range = computed(() => {
  const text = query("time") || DEFAULT_TIME;
  const dates = /^(\d{4}-\d\d-\d\d(?:T[\d:.]+)?Z?)-(\d{4}.*)$/.exec(text);
  if (dates) return { from: moment(dates[1]!), until: moment(dates[2]!, true) || minute.value };
  const length = own({ "last hour": DAY / 24, "last 24 hours": DAY, "last 7 days": 7 * DAY, "last 30 days": 30 * DAY }, text) ?? 30 * DAY;
  return { from: minute.value - length, until: minute.value };
});

// The next full minute.
const minute = computed(() => (tick.value, Math.ceil(now() / 60_000) * 60_000));

// A date without a time is a whole day here, as it is for the server.
const moment = (text: string, end = false): number => {
  const date = new Date(/T/.test(text) ? text : `${text}T00:00:00`);
  if (end && !/T/.test(text)) date.setDate(date.getDate() + 1);
  return date.getTime();
};

export function timeName(): string {
  const text = timeText();
  const named = RANGES.find(([value]) => value === text)?.[1];
  if (named) return named;
  const { from, until } = range.value;
  return Number.isNaN(from) ? text : `${dayTime(new Date(from))} to ${dayTime(new Date(until))}`;
}

function TimeMenu() {
  const [own, setOwn] = useState(false);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const [from, until] = [new Date(String(form.get("from"))), new Date(String(form.get("until")))];
    if (from < until) go(here({ time: `${from.toISOString().slice(0, 19)}Z-${until.toISOString().slice(0, 19)}Z` }));
    setOwn(false);
  };
  const local = (ms: number) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  return (
    <div class="when">
      <Menu label={`Time range: ${timeName()}`} text={<span class="long">{timeName()}</span>} end icon="clock">
        <p class="head">Times in {zone()}</p>
        {RANGES.map(([value, name]) => <a key={value} class="opt" href={here({ time: value === DEFAULT_TIME ? null : value })} aria-current={timeText() === value ? "true" : undefined}>{name}</a>)}
        <hr />
        <button type="button" class="opt" onClick={() => setOwn(true)}>From … to …</button>
      </Menu>
      {own && (
        <dialog class="sheet" ref={(box) => { if (box && !box.open) box.showModal(); }} onClose={() => setOwn(false)} aria-label="Time range">
          <h2>From … to …</h2>
          <div class="form">
            <form id="own-time" onSubmit={submit}>
              <label>From<input class="input" type="datetime-local" name="from" required defaultValue={local(range.value.from)} /></label>
              <label>To<input class="input" type="datetime-local" name="until" required defaultValue={local(range.value.until)} /></label>
              <div class="row"><button class="button main" type="submit">Show</button><button class="button" type="button" onClick={() => setOwn(false)}>Cancel</button></div>
            </form>
          </div>
        </dialog>
      )}
    </div>
  );
}
