// The list of events with facets and export; sessions, which are shown like it; and the live stream.
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { call, get, isPartial, linked, path, remark, useLoad } from "../api";
import { follow, type LiveState } from "../live";
import { bars, Chart, interval } from "../chart";
import { clockTime, duration, exact, localTime, number, plural } from "../format";
import { ColumnsMenu, EventRows, nameEvent, SoFar, person, text, What } from "../lists";
import { filterProblem, filterText, range, SearchBox, timeName, timeText } from "../search";
import { project, scope } from "../session";
import type { Count, EventSummary } from "../types";
import { Button, Empty, Icon, Menu, Note, Pager, Said, say, Seg, Shown, Time, Type } from "../ui";
import { here, query, to } from "../url";
import { SessionSteps } from "./event";
import { cursor, Tops } from "./stack";
import { both, items, offset, value } from "./stacks";

const KINDS: [string, string][] = [["", "All"], ["error", "Errors"], ["log", "Logs"], ["404", "404s"], ["usage", "Features"]];

export function EventsPage() {
  const kind = query("kind");
  const asked = { filter: both(filterText(), kind && `type:${kind}`), time: timeText(), offset: offset() };
  const key = JSON.stringify([scope(), asked]);
  const { text: step, ms } = interval(range.value);
  const list = useEventList(key, "/events", asked);
  const count = useLoad(key, (abort) => get<Count>(`${scope()}/events/count`, { ...asked, aggregations: `date:(date~${step} sum:count~1) sum:count~1 terms:type~6 terms:version~6 terms:tags~8` }, abort));
  return (
    <>
      <h1 class="sr">Events {project() ? `in ${project()!.name}` : "in all projects"}</h1>
      <SearchBox />
      {list.error?.status !== 400 && (
        <div class="two">
          <div class="stack">
            <section class="panel" aria-label="Summary"><Chart counted={count} data={bars(items(count.data, "date_date"), range.value, ms)} step={ms} short /></section>
            <section class="panel list" aria-label="Events">
              <div class="cap">
                <Seg label="Kind" current={KINDS.find(([id]) => id === kind)?.[1] ?? null} options={KINDS.map(([id, name]) => [name, here({ kind: id || null })])} />
                <span class="grow" />
                <span class="quiet wide">{count.data ? `${count.data.is_estimated ? "about " : ""}${plural(count.data.total, "event")}` : ""}</span>
                <ColumnsMenu />
                <Export asked={asked} total={count.data?.total} />
              </div>
              <List list={list} caption={`Events, ${timeName().toLowerCase()}, newest first`} />
            </section>
          </div>
          <aside class="side" aria-label="Most often">
            <Tops name="Types" field="type" count={count.data} of="terms_type" />
            <Tops name="Versions" field="version" count={count.data} of="terms_version" />
            <Tops name="Tags" field="tag" count={count.data} of="terms_tags" />
          </aside>
        </div>
      )}
    </>
  );
}

interface Page { events: EventSummary[]; newer: URL | null; older: URL | null; remark: string; partial: boolean }

function useEventList(key: string, route: string, asked: Record<string, string>, more: Record<string, string> = {}) {
  const list = useLoad<Page>(JSON.stringify([key, route, query("before"), query("after")]), async (abort) => {
    const answer = await call<EventSummary[]>("GET", `${scope()}${route}`, { query: { ...asked, ...more, mode: "summary", limit: 50, before: query("before"), after: query("after") }, signal: abort });
    filterProblem.value = "";
    return { events: answer.data, newer: linked(answer.headers, "previous"), older: linked(answer.headers, "next"), remark: remark(answer.headers), partial: isPartial(answer.headers) };
  });
  if (list.error?.status === 400) queueMicrotask(() => (filterProblem.value = list.error?.message ?? ""));
  return list;
}

function List({ list, caption }: { list: ReturnType<typeof useEventList>; caption: string }) {
  return (
    <>
      {list.data?.remark && <p class="hint pad">{list.data.remark}</p>}
      <Shown loaded={list} rows={12}>
        {({ events, newer, older, partial }) => (
          <>
            <EventRows events={events} caption={caption} empty={partial ? <SoFar /> : <Empty title="Nothing matches"><p>No event of this time ({timeName().toLowerCase()}) matches the filter.</p><p class="row"><a class="button" href={here({ filter: null, kind: null })}>Clear the filter</a><a class="button" href={here({ time: "all" })}>Show all that is kept</a></p></Empty>} />
            <Pager newer={query("before") || query("after") ? cursor(newer, "before") : null} older={cursor(older, "after")} />
          </>
        )}
      </Shown>
    </>
  );
}

// Everything that matches, as a download that the browser writes while it arrives.
function Export({ asked, total }: { asked: Record<string, string>; total: number | undefined }) {
  const href = (format: string) => path(`${scope()}/events`, { ...asked, format });
  const started = () => say(`The download of ${total === undefined ? "all events" : plural(total, "event")} has begun; the browser shows its progress.`);
  return (
    <Menu label="Export all that match" text="Export" end icon="save">
      <p class="head">{total === undefined ? "All that match" : `${exact(total)} that match`}</p>
      <a class="opt" href={href("csv")} download="events.csv" onClick={started}>CSV <span class="n">for spreadsheets</span></a>
      <a class="opt" href={href("ndjson")} download="events.ndjson" onClick={started}>NDJSON <span class="n">an event a line</span></a>
    </Menu>
  );
}

export function SessionsPage() {
  const asked = { filter: filterText(), time: timeText(), offset: offset() };
  const key = JSON.stringify([scope(), asked, "sessions"]);
  const list = useEventList(key, "/events/sessions", asked);
  const { text: step, ms } = interval(range.value);
  const count = useLoad(key, (abort) => get<Count>(`${scope()}/events/count`, { ...asked, filter: both("type:session", asked.filter), aggregations: `date:date~${step} cardinality:user avg:value` }, abort));
  return (
    <>
      <h1 class="sr">Sessions {project() ? `in ${project()!.name}` : "in all projects"}</h1>
      <SearchBox />
      <section class="panel" aria-label="Summary">
        <div class="four three">
          <div><span class="name">Sessions</span><span class="num">{count.data ? number(count.data.total) : "…"}</span><span class="delta wide">{timeName().toLowerCase()}</span></div>
          <div><span class="name">Users</span><span class="num">{count.data ? number(value(count.data, "cardinality_user")) : "…"}</span></div>
          <div><span class="name">Average duration</span><span class="num">{count.data ? duration(value(count.data, "avg_value")) : "…"}</span></div>
        </div>
        <Chart counted={count} data={bars(items(count.data, "date_date"), range.value, ms)} step={ms} unit="session" short />
      </section>
      <section class="panel list" aria-label="Sessions">
        <Shown loaded={list} rows={8}>
          {({ events, newer, older, partial }) => events.length || partial ? (
            <>
              <table>
                <caption class="sr">Sessions, newest first</caption>
                <thead><tr><th scope="col">User</th><th scope="col" class="c2">State</th><th scope="col" class="n c2">Duration</th><th scope="col" class="n c2">Began</th></tr></thead>
                <tbody>
                  {events.map((event) => {
                    const ended = text(event.data, "SessionEnd");
                    const long = Number(text(event.data, "Value")) || 0;
                    const id = text(event.data, "SessionId");
                    return (
                      <tr key={event.id}>
                        <What href={id ? to(`/session/${id}`, { project: event.project_id }) : to(`/event/${event.id}`)} type="session" named={nameEvent(event)} mini={<><span>{ended ? "ended" : "active"}</span><span>{duration(long)}</span><Time at={event.date} /></>} />
                        <td class="c2">{ended ? <span class="status ignored"><Icon name="check" /> Ended</span> : <span class="status fixed"><span class="dot" /> Active</span>}</td>
                        <td class="n c2">{duration(long)}</td>
                        <td class="n c2 quiet"><Time at={event.date} /></td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
              {!events.length && <SoFar />}
              <Pager newer={query("before") || query("after") ? cursor(newer, "before") : null} older={cursor(older, "after")} />
            </>
          ) : (
            <Empty title="No sessions in this time"><p>A client begins a session for each user that it names, or where sessions are switched on in its configuration.</p><p class="row"><a class="button" href={here({ time: "all", filter: null })}>Show all that is kept</a></p></Empty>
          )}
        </Shown>
      </section>
    </>
  );
}

export function SessionPage({ id }: { id: string }) {
  const loaded = useLoad(`session of ${id} ${scope()}`, (abort) => get<EventSummary[]>(`${scope()}/events/sessions/${id}`, { mode: "summary", sort: "date", limit: 1 }, abort));
  return (
    <Shown loaded={loaded}>
      {(events) => {
        const start = events[0];
        if (!start) return <section class="panel"><Empty page title="No such session"><p>None of its events is kept, or the session is another project's.</p><p class="row"><a class="button" href={to("/sessions")}>All sessions</a></p></Empty></section>;
        const ended = text(start.data, "SessionEnd");
        return (
          <>
            <div class="crumb"><a href={to("/sessions")} data-key="u">Sessions</a> <span aria-hidden="true">/</span> <code class="grow said">{id}</code></div>
            <header class="subject"><div class="grow"><h1 class="said">{person(start.data) || "Anonymous"}</h1><p class="meta"><Type type="session" /> <span>{duration(Number(text(start.data, "Value")) || 0)}</span> <span>{ended ? `ended ${localTime(new Date(ended))}` : "still active"}</span> <Time at={start.date} /></p></div>
              <a class="button" href={to("/events", { filter: `ref.session:${id}`, time: "all" })}>As a list</a></header>
            <section class="panel pad" aria-label="Timeline"><SessionSteps project={start.project_id} session={id} current="" most={100} /></section>
          </>
        );
      }}
    </Shown>
  );
}

const MOST_ROWS = 500;
const NEW_ROWS = 50;

// Messages are counted, never drawn one by one: at the top and unpaused the list is fetched at most once a second.
export function StreamPage() {
  const filter = filterText();
  const [paused, pause] = useState(false);
  const [waiting, setWaiting] = useState(0);
  const [rows, setRows] = useState<EventSummary[] | null>(null);
  const [state, setState] = useState<LiveState>("connecting");
  const [problem, setProblem] = useState("");
  const counted = useRef(0);
  const refresh = useRef(() => {});
  const drawn = useRef(new WeakMap<EventSummary, VNode>());
  const atTop = useRef(true);
  const stopped = useRef(false);
  stopped.current = paused;
  const key = JSON.stringify([scope(), filter]);

  const wait = (count: number) => setWaiting((counted.current = Math.max(0, count)));

  useEffect(() => {
    const controller = new AbortController();
    let due = 0;
    let last = 0;
    let running = false;
    let coming = 0;
    let connected: LiveState = "connecting";
    // Between two streams, and before the first one, nothing is counted.
    let missed = true;
    const watched = () => !stopped.current && atTop.current && !document.hidden;
    // One request at a time: where the server is slow they would pile up, and an old answer could replace a newer one.
    const fetchNow = async (): Promise<void> => {
      clearTimeout(due);
      due = 0;
      if (running) return soon();
      coming = 0;
      running = true;
      last = Date.now();
      const before = counted.current;
      try {
        const found = await get<EventSummary[]>(`${scope()}/events`, { filter, time: "all", mode: "summary", limit: NEW_ROWS }, controller.signal);
        filterProblem.value = "";
        setRows((old) => {
          const known = new Map((old ?? []).map((event) => [event.id, event]));
          const rows = found.map((event) => known.get(event.id) ?? event);
          for (const event of found) known.delete(event.id);
          return [...rows, ...known.values()].slice(0, MOST_ROWS);
        });
        wait(counted.current - before);
        setProblem("");
      } catch (error) {
        if (controller.signal.aborted) return;
        const { status, message } = error as { status?: number; message: string };
        if (status === 400) filterProblem.value = message;
        else if (status !== 401) setProblem(message);
      } finally {
        running = false;
      }
    };
    const soon = () => { due ||= window.setTimeout(follows, Math.max(100, 1000 - (Date.now() - last))); };
    // What came before somebody paused is counted instead: nothing moves after that.
    const follows = () => {
      due = 0;
      if (watched()) void fetchNow();
      else wait(counted.current + coming);
      coming = 0;
    };
    refresh.current = fetchNow;
    drawn.current = new WeakMap();
    setRows(null);
    wait(0);
    void fetchNow();
    const arrived = (count: number) => {
      if (!watched()) return wait(counted.current + count);
      coming += count;
      soon();
    };
    const unfollow = follow(scope(), arrived, (now) => {
      if (now === "live" && missed && watched()) soon();
      missed = now !== "live";
      connected = now;
      setState(now);
    });
    const look = () => { if (connected !== "live" && watched()) void fetchNow(); };
    const poll = window.setInterval(look, 10_000);
    document.addEventListener("visibilitychange", look);
    return () => {
      controller.abort();
      unfollow();
      clearTimeout(due);
      clearInterval(poll);
      document.removeEventListener("visibilitychange", look);
    };
  }, [key]);

  useEffect(() => {
    const scrolled = () => { atTop.current = scrollY < 200; };
    addEventListener("scroll", scrolled, { passive: true });
    return () => removeEventListener("scroll", scrolled);
  }, []);
  // A row is drawn once: five hundred of them would be compared again with every message.
  const draw = (event: EventSummary) => {
    const named = nameEvent(event);
    const row = (
      <tr key={event.id}>
        <td class="clock"><time dateTime={event.date} title={localTime(new Date(event.date))}>{clockTime(new Date(event.date))}</time></td>
        <td class="what"><a class="row-link" href={to(`/event/${event.id}`)} data-row={event.id}><span class="line"><Type type={event.type} level={text(event.data, "Level")} /> <Said class="title">{named.title}</Said> {named.said && <Said class="message">{named.said}</Said>}</span></a></td>
        <td class="c3 quiet short"><Said>{person(event.data)}</Said></td>
        {!project() && <td class="c4 quiet short">{event.project_name}</td>}
      </tr>
    );
    drawn.current.set(event, row);
    return row;
  };
  const showNew = () => { scrollTo(0, 0); atTop.current = true; refresh.current(); };
  const toggle = () => {
    pause(!paused);
    if (paused) refresh.current();
  };
  return (
    <>
      <h1 class="sr">Stream {project() ? `of ${project()!.name}` : "of all projects"}</h1>
      <SearchBox timeless />
      <section class="panel list stream" aria-label="Stream">
        <div class="cap">
          <span class={`live ${paused ? "" : problem ? "refused" : state}`}><span class="dot" /> {paused ? "Paused" : problem ? "Waiting for the server" : { live: "Live", refused: "Every 10 s", connecting: "Connecting" }[state]}</span>
          <Button icon={paused ? "play" : "pause"} keys="Space" onClick={toggle} pressed={paused}>{paused ? "Resume" : "Pause"}</Button>
          <span class="grow" />
          {waiting > 0 && <button type="button" class="pill" onClick={showNew}>Show {number(waiting)} new</button>}
          <span class="sr" role="status" aria-live="polite">{waiting > 0 ? `${number(waiting)} new` : ""}</span>
        </div>
        {problem && !paused && <Note tone="warn">{problem} Trying again every ten seconds; what is shown stays. <button type="button" class="link" onClick={() => refresh.current()}>Try now</button></Note>}
        {state === "refused" && !problem && !paused && <Note icon="clock">The list is fetched every ten seconds: this page got no live stream. One person can have four at a time, so close other windows that show streams.</Note>}
        {rows?.length ? (
          <table>
            <caption class="sr">The newest events first</caption>
            <tbody>
              {rows.map((event) => drawn.current.get(event) ?? draw(event))}
            </tbody>
          </table>
        ) : rows ? <Empty title="Nothing yet"><p>{filter ? "No event matches the filter so far." : "Events appear here as they are stored."}</p></Empty> : null}
      </section>
    </>
  );
}

export { Seg };
