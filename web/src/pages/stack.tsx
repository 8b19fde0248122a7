// One stack: its latest trace, its status, and the users and machines that it affects.
import { useEffect, useState } from "preact/hooks";
import { bars, Chart, interval } from "../chart";
import { call, get, isPartial, linked, post, useLoad } from "../api";
import { dayOnly, exact, localTime, number, plural } from "../format";
import { EventRows, SoFar } from "../lists";
import { range, SearchBox, timeName, timeText } from "../search";
import type { Count, EventSummary, Stack, Status, StoredEvent } from "../types";
import { attempt, Button, Dialog, Empty, Fact, Facts, Form, Icon, Menu, Pager, say, Shown, StatusWord, Time, Type, Value } from "../ui";
import { go, here, query, to } from "../url";
import { thrown, Trace, traceText } from "../trace";
import { both, items, later, offset, setStatus, value } from "./stacks";
import { copy } from "../ui";
import { filterText } from "../search";

export function StackPage({ id }: { id: string }) {
  const stack = useLoad(`stack ${id}`, (abort) => get<Stack>(`/stacks/${id}`, undefined, abort));
  return <Shown loaded={stack} rows={8}>{(found) => <Opened key={found.id} stack={found} again={stack.again} />}</Shown>;
}

function Opened({ stack, again }: { stack: Stack; again: () => void }) {
  const within = { time: timeText(), offset: offset(), filter: both(`stack:${stack.id}`, filterText()) };
  const route = `/projects/${stack.project_id}/events`;
  const { text: step, ms } = interval(range.value);
  const key = JSON.stringify([stack.id, within]);
  const latest = useLoad(`latest ${stack.id}`, (abort) => get<StoredEvent[]>(`/stacks/${stack.id}/events`, { limit: 1 }, abort));
  const count = useLoad(key, (abort) => get<Count>(`${route}/count`, { ...within, aggregations: `date:(date~${step} sum:count~1) cardinality:user sum:count~1 terms:version~6 terms:tags~6 terms:user~6` }, abort));
  const places = useLoad(`${key} places`, (abort) => get<Count>(`${route}/count`, { ...within, aggregations: "terms:machine~6 terms:browser~6 terms:os~6" }, abort));
  const occurrences = useLoad(JSON.stringify([key, query("before"), query("after")]), async (abort) => {
    const answer = await call<EventSummary[]>("GET", `/stacks/${stack.id}/events`, { query: { filter: filterText(), time: timeText(), offset: offset(), mode: "summary", limit: 20, before: query("before"), after: query("after") }, signal: abort });
    return { events: answer.data, newer: linked(answer.headers, "previous"), older: linked(answer.headers, "next"), partial: isPartial(answer.headers) };
  });
  const event = latest.data?.[0];
  const errors = thrown(event?.data);
  useEffect(() => { document.title = `${stack.title.slice(0, 80)} · Headrace`; }, [stack.title]);
  return (
    <>
      <div class="crumb"><a href={to("/stacks")} data-key="u">Stacks</a> <span aria-hidden="true">/</span> <span class="grow said">{stack.signature_info["ExceptionType"] ?? stack.signature_info["Source"] ?? stack.type}</span></div>
      <header class="subject">
        <div class="grow">
          <h1 class="said clamp">{stack.title}</h1>
          <p class="meta"><Type type={stack.type} /> <StatusWord status={stack.status} more={more(stack)} /> {stack.occurrences_are_critical && <span class="status regressed"><Icon name="fire" /> Critical</span>} <span>first <Time at={stack.first_occurrence} /></span> <span>last <Time at={stack.last_occurrence} /></span>
            {stack.tags.slice(0, 8).map((tag) => <a key={tag} class="tag said" href={to("/stacks", { filter: `tag:"${tag.replace(/["\\]/g, "\\$&")}"` })}>{tag}</a>)}</p>
        </div>
        <Actions stack={stack} again={again} />
      </header>
      <SearchBox />
      <section class="panel" aria-label="Summary">
        <div class="four">
          <div><span class="name">Events</span><span class="num">{count.data ? number(value(count.data, "sum_count")) : "…"}</span><span class="delta wide">{timeName().toLowerCase()}</span></div>
          <div><span class="name">In all</span><span class="num" title={exact(stack.total_occurrences)}>{number(stack.total_occurrences)}</span></div>
          <div><span class="name">Users affected</span><span class="num">{count.data ? number(value(count.data, "cardinality_user")) : "…"}</span></div>
          <div><span class="name">Last</span><span class="num"><Time at={stack.last_occurrence} /></span></div>
        </div>
        <Chart counted={count} data={bars(items(count.data, "date_date"), range.value, ms)} step={ms} short />
      </section>
      <div class="two">
        <div class="stack">
          {event && (
            <div class="latest">
              <div class="crumb"><h2>Latest event</h2> <Time at={event.date} /> <span class="grow" /> {errors.length > 0 && <Button icon="copy" keys="c" onClick={() => copy(traceText(errors), "Stack trace")}>Copy stack trace</Button>} <a class="button" href={to(`/event/${event.id}`)}>Open event <Icon name="right" /></a></div>
              {errors.length ? <Trace errors={errors} /> : <section class="panel pad"><p class="said whole">{event.message || event.source || stack.title}</p></section>}
            </div>
          )}
          <Shown loaded={latest}>{(found) => (found.length ? null : <section class="panel"><Empty title="No event is kept"><p>The events of this stack were older than what is kept, or were deleted. Its totals stay.</p></Empty></section>)}</Shown>
          <section class="panel list" aria-label="Occurrences">
            <div class="cap"><h2>Occurrences</h2> <span class="quiet">{timeName().toLowerCase()}</span></div>
            <Shown loaded={occurrences} rows={5}>{({ events, newer, older, partial }) => (
              <>
                <EventRows events={events} caption="Occurrences, newest first" empty={partial ? <SoFar /> : <Empty title="None in this time"><p class="row"><a class="button" href={here({ time: "all", filter: null })}>Show all that is kept</a></p></Empty>} />
                <Pager newer={query("before") || query("after") ? cursor(newer, "before") : null} older={cursor(older, "after")} />
              </>
            )}</Shown>
          </section>
        </div>
        <aside class="side" aria-label="Most often">
          <Tops name="Versions" field="version" count={count.data} of="terms_version" />
          <Tops name="Users" field="user" count={count.data} of="terms_user" />
          <Tops name="Machines" field="machine" count={places.data} of="terms_machine" />
          <Tops name="Browsers" field="browser" count={places.data} of="terms_browser" />
          <Tops name="Systems" field="os" count={places.data} of="terms_os" />
          <Tops name="Tags" field="tag" count={count.data} of="terms_tags" />
          <Links stack={stack} again={again} />
          <section><h2>What makes it one</h2><Facts>{Object.entries(stack.signature_info).map(([name, said]) => <Fact key={name} name={name}><span class="said mono">{said.slice(0, 300)}</span></Fact>)}</Facts></section>
        </aside>
      </div>
    </>
  );
}

export const cursor = (url: URL | null, name: "before" | "after"): string | null => (url?.searchParams.get(name) ? here({ before: null, after: null, [name]: url.searchParams.get(name) }) : null);

function more(stack: Stack): string {
  if (stack.status === "fixed" && stack.fixed_in_version) return ` in ${stack.fixed_in_version}`;
  if (stack.status === "regressed" && stack.fixed_in_version) return `, was fixed in ${stack.fixed_in_version}`;
  if (stack.status === "snoozed" && stack.snooze_until_utc) return ` until ${dayOnly(new Date(stack.snooze_until_utc))}`;
  return "";
}

function Actions({ stack, again }: { stack: Stack; again: () => void }) {
  const [asking, ask] = useState<"" | "version" | "discard" | "delete">("");
  const old: Status = stack.status;
  const undo = async () => {
    await attempt(() => setStatus([stack.id], old === "regressed" ? "open" : old, old === "snoozed" ? { snoozeUntilUtc: later(24) } : {}), "Undone.");
    again();
  };
  const act = async (status: string, words: string, more: Record<string, string> = {}) => {
    await attempt(() => setStatus([stack.id], status, more), `${words}.`, { undo });
    ask("");
    again();
  };
  const fixedIn = async (version: string) => {
    await setStatus([stack.id], "fixed", { version });
    say(`Marked fixed in ${version}.`, { undo });
    ask("");
    again();
  };
  const critical = async () => {
    const was = stack.occurrences_are_critical;
    await attempt(() => call(was ? "DELETE" : "POST", `/stacks/${stack.id}/mark-critical`), was ? "No longer critical." : "New events of it are marked critical.");
    again();
  };
  const remove = async () => {
    const done = await attempt(() => call("DELETE", `/stacks/${stack.id}`), "The stack and its events are being deleted.");
    ask("");
    if (done) go(to("/stacks"));
  };
  const isClosed = ["fixed", "ignored", "discarded", "snoozed"].includes(stack.status);
  return (
    <div class="row actions">
      {isClosed ? <Button kind="main" onClick={() => act("open", "Reopened")}>Reopen</Button> : <Button kind="main" icon="check" keys="f" onClick={() => act("fixed", "Marked fixed")}>Mark fixed</Button>}
      <Menu label="Snooze" text="Snooze" icon="moon">
        {([["4 hours", 4], ["a day", 24], ["a week", 168], ["30 days", 720]] as const).map(([name, hours]) => <button key={name} type="button" class="opt" onClick={() => act("snoozed", `Snoozed for ${name}`, { snoozeUntilUtc: later(hours) })}>For {name}</button>)}
      </Menu>
      <Button icon="ban" keys="i" onClick={() => act("ignored", "Ignored")} disabled={stack.status === "ignored"}>Ignore</Button>
      <Button kind="bad" onClick={() => ask("discard")} disabled={stack.status === "discarded"}>Discard</Button>
      <Menu label="More" text="More" end icon="plus">
        <button type="button" class="opt" onClick={() => ask("version")}>Fixed in version …</button>
        <button type="button" class="opt" onClick={critical}>{stack.occurrences_are_critical ? "Not critical" : "Mark critical"}</button>
        <hr />
        <button type="button" class="opt bad" onClick={() => ask("delete")}>Delete …</button>
      </Menu>
      {asking === "version" && <VersionDialog onClose={() => ask("")} onVersion={fixedIn} />}
      {asking === "discard" && <Dialog title="Discard this stack?" onClose={() => ask("")}><p>New events of it will be thrown away when they arrive. The {plural(stack.total_occurrences, "event")} that it had stay until they are too old. You can undo this.</p><div class="row"><Button kind="main" onClick={() => act("discarded", "Discarded")}>Discard new events</Button><Button onClick={() => ask("")}>Cancel</Button></div></Dialog>}
      {asking === "delete" && <Dialog title="Delete this stack?" onClose={() => ask("")}><p>The stack and its {plural(stack.total_occurrences, "event")} are deleted for good. This cannot be undone; a new event makes the stack again.</p><div class="row"><Button kind="bad" onClick={remove}>Delete for good</Button><Button onClick={() => ask("")}>Cancel</Button></div></Dialog>}
    </div>
  );
}

function VersionDialog({ onClose, onVersion }: { onClose: () => void; onVersion: (version: string) => Promise<void> }) {
  return (
    <Dialog title="Fixed in version" onClose={onClose}>
      <Form onSubmit={(value) => onVersion(value("version"))}>
        <label>Version<input class="input" name="version" required maxLength={200} placeholder="4.18.1" autofocus /></label>
        <p class="hint">Events of older versions do not reopen it; one of this version or a later one does.</p>
        <div class="row"><Button kind="main" type="submit">Mark fixed</Button><Button onClick={onClose}>Cancel</Button></div>
      </Form>
    </Dialog>
  );
}

export function Tops({ name, field, count, of }: { name: string; field: string; count: Count | undefined; of: string }) {
  const found = items(count, of);
  if (!found.length) return null;
  const top = Math.max(...found.map((item) => item.total));
  return (
    <section>
      <h2>{name}</h2>
      <ol class="tops">
        {found.map((item) => (
          <li key={item.key}>
            <svg aria-hidden="true"><rect width={`${(item.total / top) * 100}%`} height="100%" /></svg>
            <a class="said" href={here({ filter: both(filterText(), `${field}:"${item.key_as_string.replace(/["\\]/g, "\\$&")}"`) })}>{item.key_as_string}</a><span class="n">{number(item.total)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Links({ stack, again }: { stack: Stack; again: () => void }) {
  const [adding, add] = useState(false);
  const change = async (action: string, url: string) => {
    await post(`/stacks/${stack.id}/${action}`, { value: url });
    add(false);
    again();
  };
  return (
    <section>
      <h2>Links <button type="button" class="link" onClick={() => add(!adding)}>Add</button></h2>
      {!stack.references.length && !adding && <p class="faint">A ticket, a pull request, a chat.</p>}
      <ul class="links">
        {stack.references.map((url) => (
          <li key={url}>{/^https?:\/\//i.test(url) ? <a class="link said" href={url} target="_blank" rel="noreferrer noopener">{url.replace(/^https?:\/\//i, "")}</a> : <span class="said">{url}</span>} <Button kind="bare" icon="cross" label={`Remove ${url}`} onClick={() => attempt(() => change("remove-link", url), "Removed.")}>{null}</Button></li>
        ))}
      </ul>
      {adding && <Form onSubmit={(value) => change("add-link", value("url"))}><label>Address<input class="input" type="url" name="url" required autofocus placeholder="https://" maxLength={2000} /></label><Button type="submit">Add link</Button></Form>}
    </section>
  );
}

export { localTime, Value };
