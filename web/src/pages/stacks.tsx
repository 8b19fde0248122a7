// The home of the app: what broke, since when, for how many.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { bars, Chart, deployments, interval, Spark } from "../chart";
import { call, get, linked, post, remark, useLoad } from "../api";
import { now } from "../clock";
import { exact, number, plural } from "../format";
import { nameStack, StackMini, What } from "../lists";
import { DEFAULT_TIME, filterProblem, filterText, range, SearchBox, timeName, timeText } from "../search";
import { project, projects, scope } from "../session";
import type { Bucket, Count, Matching, StackSummary, Status } from "../types";
import { attempt, Button, Dialog, Empty, Menu, Pager, say, Seg, Shown, StatusWord, Time, typeOf } from "../ui";
import { here, query, to } from "../url";
import { Start } from "./start";

export const NEEDS_SOMEBODY = "status:(open OR regressed) -type:session";
const MODES: [string, string][] = [["stack_frequent", "Most frequent"], ["stack_recent", "Recent"], ["stack_new", "New"], ["stack_users", "Most users"]];
const KINDS: [string, string][] = [["", "All"], ["error", "Errors"], ["log", "Logs"], ["404", "404s"], ["usage", "Features"]];
const LIMIT = 50;

const ticked = signal<Set<string>>(new Set());
const everything = signal(false);

export const value = (count: Count | undefined, name: string): number => Number(count?.aggregations[name]?.value ?? 0);
export const items = (count: Count | undefined, name: string): Bucket[] => count?.aggregations[name]?.items ?? [];
export const both = (...filters: string[]): string => filters.filter((one) => one.trim()).map((one) => (/\sOR\s|\|\|/i.test(one) && !/^[\w.]+:\([^()]*\)$/.test(one.trim()) ? `(${one})` : one)).join(" ");

export function StacksPage() {
  const filter = filterText(NEEDS_SOMEBODY);
  const kind = query("kind");
  const mode = query("mode") || "stack_frequent";
  const whole = both(filter, kind && `type:${kind}`);
  const { text: step, ms } = interval(range.value);
  const asked = { filter: whole, time: timeText(), offset: offset() };
  const key = JSON.stringify([scope(), asked, mode, query("page")]);
  useEffect(() => { ticked.value = new Set(); everything.value = false; }, [key]);

  const list = useLoad(key, async (abort) => {
    const answer = await call<StackSummary[]>("GET", `${scope()}/events`, { query: { ...asked, mode, limit: LIMIT, page: query("page") || 1 }, signal: abort });
    filterProblem.value = "";
    return { stacks: answer.data, older: linked(answer.headers, "next")?.searchParams.get("page") ?? null, remark: remark(answer.headers) };
  });
  if (list.error?.status === 400) queueMicrotask(() => (filterProblem.value = list.error?.message ?? ""));
  const stacks = list.data?.stacks ?? [];
  const count = useLoad(JSON.stringify([scope(), asked]), (abort) => get<Count>(`${scope()}/events/count`, { ...asked, aggregations: `date:(date~${step} sum:count~1) cardinality:stack cardinality:user sum:count~1 terms:(version~4 min:date)` }, abort));
  const fresh = useLoad(JSON.stringify([scope(), asked, "new"]), (abort) => get<Count>(`${scope()}/events/count`, { ...asked, mode: "stack_new", aggregations: "cardinality:stack" }, abort));
  const before = useLoad(query("time") === "all" ? null : JSON.stringify([scope(), asked, "before"]), (abort) => get<Count>(`${scope()}/events/count`, { ...asked, time: earlier(), aggregations: "cardinality:stack cardinality:user sum:count~1" }, abort));
  const ids = stacks.map((stack) => stack.id);
  const sparkStep = interval({ from: 0, until: (range.value.until - range.value.from) * 4 });
  const sparks = useLoad(ids.length ? JSON.stringify([ids, asked.time, "spark"]) : null, (abort) => get<Count>(`${scope()}/events/count`, { time: asked.time, filter: `stack:(${ids.join(" OR ")})`, aggregations: `terms:(stack~${LIMIT} date:(date~${sparkStep.text} sum:count~1))` }, abort));

  const series = bars(items(count.data, "date_date"), range.value, ms);
  const isUnfiltered = !query("filter") && !kind && !query("time");
  if (list.data && !stacks.length && isUnfiltered && (project() || projects.value.length <= 1)) return <FirstOrNothing />;
  return (
    <>
      <h1 class="sr">Stacks {project() ? `in ${project()!.name}` : "in all projects"}</h1>
      <SearchBox fallback={NEEDS_SOMEBODY} />
      {list.error?.status !== 400 && (
        <>
          <section class="panel" aria-label="Summary">
            <div class="four">
              <Figure name="Events" now={value(count.data, "sum_count")} then={before.data && value(before.data, "sum_count")} more={timeName().toLowerCase()} href={here({ mode: null })} current={mode === "stack_frequent"} known={!!count.data} about={!!count.data?.is_estimated} />
              <Figure name="Stacks" now={value(count.data, "cardinality_stack")} then={before.data && value(before.data, "cardinality_stack")} href={here({ mode: "stack_recent" })} current={mode === "stack_recent"} known={!!count.data} about={!!count.data?.is_estimated} />
              <Figure name="New stacks" now={value(fresh.data, "cardinality_stack")} href={here({ mode: "stack_new" })} current={mode === "stack_new"} known={!!fresh.data} />
              <Figure name="Users affected" now={value(count.data, "cardinality_user")} then={before.data && value(before.data, "cardinality_user")} href={here({ mode: "stack_users" })} current={mode === "stack_users"} known={!!count.data} about={!!count.data?.is_estimated} />
            </div>
            <Chart counted={count} data={series} step={ms} marks={deployments(items(count.data, "terms_version"), series, ms)} />
          </section>
          <section class="panel list" aria-label="Stacks">
            <div class="cap">
              <Seg label="Kind" current={KINDS.find(([id]) => id === kind)?.[1] ?? null} options={KINDS.map(([id, name]) => [name, here({ kind: id || null })])} />
              <span class="grow" />
              <Seg label="Order" current={MODES.find(([id]) => id === mode)?.[1] ?? null} options={MODES.map(([id, name]) => [name, here({ mode: id === "stack_frequent" ? null : id })])} />
            </div>
            {list.data?.remark && <p class="hint pad">{list.data.remark}</p>}
            <Shown loaded={list} rows={10}>
              {({ stacks: found, older }) => found.length ? (
                <>
                  <table>
                    <caption class="sr">Stacks, {MODES.find(([id]) => id === mode)?.[1]?.toLowerCase()}, {timeName().toLowerCase()}</caption>
                    <thead><tr>
                      <th class="tick"><input type="checkbox" aria-label="Select all on this page" checked={ticked.value.size === found.length} onChange={(event) => { ticked.value = new Set(event.currentTarget.checked ? found.map((one) => one.id) : []); everything.value = false; }} /></th>
                      <th scope="col">Stack</th>
                      <th scope="col" class="c3">{timeName().replace("Last ", "")}</th>
                      <th scope="col" class="c2">Status</th>
                      <th scope="col" class="n c3"><a href={here({ mode: "stack_users" })}>Users</a></th>
                      <th scope="col" class="n c2" aria-sort={mode === "stack_frequent" ? "descending" : undefined}><a href={here({ mode: null })}>Events</a></th>
                      <th scope="col" class="n c4"><a href={here({ mode: "stack_new" })}>First</a></th>
                      <th scope="col" class="n c2"><a href={here({ mode: "stack_recent" })}>Last</a></th>
                    </tr></thead>
                    <tbody>
                      {found.map((stack) => {
                        const series = items(sparks.data, "terms_stack").find((item) => item.key === stack.id);
                        const named = nameStack(stack);
                        const isTicked = everything.value || ticked.value.has(stack.id);
                        return (
                          <tr key={stack.id} class={isTicked ? "chosen" : undefined}>
                            <td class="tick"><input type="checkbox" aria-label={`Select ${named.title.slice(0, 80)}`} checked={isTicked} onChange={() => tick(stack.id)} /></td>
                            <What href={to(`/stack/${stack.id}`)} type={typeOf(stack.template_key)} named={project() ? named : { ...named, where: named.where || stack.project_name }} mini={<StackMini stack={stack} />} />
                            <td class="c3"><Spark data={bars(series?.aggregations["date_date"]?.items, range.value, sparkStep.ms)} hot={stack.status === "regressed"} label={`${exact(stack.total)} events over the time`} /></td>
                            <td class="c2"><StatusWord status={stack.status} /></td>
                            <td class="n c3">{stack.users ? number(stack.users) : <span class="faint">–</span>}</td>
                            <td class="n c2"><b>{number(stack.total)}</b></td>
                            <td class="n c4 quiet"><Time at={stack.first_occurrence} /></td>
                            <td class="n c2 quiet"><Time at={stack.last_occurrence} /></td>
                          </tr>
                        );
                      })}
                    </tbody>
                  </table>
                  <Pager newer={Number(query("page") || 1) > 1 ? here({ page: String(Number(query("page")) - 1) }) : null} older={older ? here({ page: older }) : null} />
                </>
              ) : (
                <Empty title={filter === NEEDS_SOMEBODY && !kind ? "Nothing is open" : "Nothing matches"}>
                  <p>{filter === NEEDS_SOMEBODY && !kind ? `No stack is open or regressed in this time (${timeName().toLowerCase()}).` : "No event of this time matches the filter."}</p>
                  <p class="row"><a class="button" href={here({ filter: "", kind: null })}>Show every status</a><a class="button" href={here({ time: "all" })}>Show all that is kept</a></p>
                </Empty>
              )}
            </Shown>
          </section>
          <Bulk stacks={stacks} filter={whole} total={value(count.data, "cardinality_stack")} events={value(count.data, "sum_count")} again={() => { list.again(); count.again(); }} />
        </>
      )}
    </>
  );
}

// Where nothing was ever received the first steps are shown; the question costs one indexed look-up.
function FirstOrNothing() {
  const any = useLoad(JSON.stringify(["any", scope()]), (abort) => get<unknown[]>(`${scope()}/events`, { limit: 1 }, abort));
  if (any.data && !any.data.length) return <Start />;
  return (
    <>
      <h1 class="sr">Stacks</h1>
      <SearchBox fallback={NEEDS_SOMEBODY} />
      <Shown loaded={any}>{() => (
        <section class="panel"><Empty title="Nothing is open"><p>No stack is open or regressed in the last 7 days. Well done.</p><p class="row"><a class="button" href={here({ filter: "" })}>Show every status</a><a class="button" href={here({ time: "all", filter: "" })}>Show all that is kept</a></p></Empty></section>
      )}</Shown>
    </>
  );
}

function Figure({ name, now, then, more, href, current, known, about = false }: { name: string; now: number; then?: number | undefined; more?: string; href: string; current: boolean; known: boolean; about?: boolean }) {
  const change = then ? Math.round(((now - then) / then) * 100) : 0;
  return (
    <a href={href} aria-current={current ? "true" : undefined}>
      <span class="name">{name}</span>
      <span class="num" title={about ? "Estimated from a sample" : exact(now)}>{known ? `${about ? "≈ " : ""}${number(now)}` : "…"}</span>
      {known && change !== 0 && <span class={`delta ${change > 0 ? "worse" : "better"}`} title={`${exact(then!)} in the time before`}>{change > 0 ? "▲" : "▼"} {number(Math.abs(change))} %</span>}
      {more && <span class="delta wide">{more}</span>}
    </a>
  );
}

function tick(id: string): void {
  const next = new Set(ticked.value);
  if (!next.delete(id)) next.add(id);
  ticked.value = next;
  everything.value = false;
}

const DONE: Record<string, string> = { fixed: "Marked fixed", ignored: "Ignored", discarded: "Discarded", open: "Reopened", snoozed: "Snoozed" };

export async function setStatus(ids: string[], status: string, more: Record<string, string> = {}): Promise<void> {
  for (let start = 0; start < ids.length; start += 50) {
    const route = `/stacks/${ids.slice(start, start + 50).join(",")}`;
    if (status === "fixed") await post(`${route}/mark-fixed`, undefined, more);
    else if (status === "snoozed") await post(`${route}/mark-snoozed`, undefined, more);
    else await post(`${route}/change-status`, undefined, { status });
  }
}

export const later = (hours: number): string => new Date(now() + hours * 3_600_000).toISOString();

function Bulk({ stacks, filter, total, events, again }: { stacks: StackSummary[]; filter: string; total: number; events: number; again: () => void }) {
  const asking = useAsking();
  const chosen = stacks.filter((stack) => ticked.value.has(stack.id));
  if (!chosen.length && !everything.value) return null;
  const inEvents = everything.value ? events : chosen.reduce((sum, stack) => sum + stack.total, 0);
  const size = everything.value ? total : chosen.length;
  const act = async (status: string, more: Record<string, string> = {}) => {
    const old = chosen.map((stack) => [stack.id, stack.status] as [string, Status]);
    let size = old.length;
    let before = old;
    const change = async () => {
      if (!everything.value) return setStatus(old.map(([id]) => id), status, more);
      const answer = await post<Matching>(`${scope()}/stacks/change-status`, undefined, { filter, time: timeText(), offset: offset(), status, ...more });
      size = answer.stacks;
      before = Object.entries(answer.undo).flatMap(([status, ids]) => ids.map((id) => [id, status] as [string, Status]));
    };
    // What was selected stays selected where it was not done.
    if (await attempt(change, "")) {
      say(`${DONE[status]}: ${plural(size, "stack")}.`, { undo: () => undo(before, again) });
      ticked.value = new Set();
      everything.value = false;
    }
    again();
  };
  const confirmed = (status: string, more: Record<string, string> = {}) => (everything.value || status === "discarded" ? asking.ask(status, more) : act(status, more));
  return (
    <div class="bulk" role="region" aria-label="Selected stacks">
      <span class="grow"><b>{everything.value ? `All ${plural(size, "stack")} that match` : `${size} selected`}</b>, {plural(inEvents, "event")}</span>
      {!everything.value && total > chosen.length && chosen.length === stacks.length && (
        <Button onClick={() => (everything.value = true)}>Select all that match: <b>{plural(total, "stack")}, {plural(events, "event")}</b></Button>
      )}
      <Button kind="main" icon="check" keys="f" onClick={() => confirmed("fixed")}>Mark fixed</Button>
      <Menu label="Snooze" text="Snooze" icon="moon">
        {([["4 hours", 4], ["a day", 24], ["a week", 168], ["30 days", 720]] as const).map(([name, hours]) => <button key={name} type="button" class="opt" onClick={() => confirmed("snoozed", { snoozeUntilUtc: later(hours) })}>For {name}</button>)}
      </Menu>
      <Button icon="ban" keys="i" onClick={() => confirmed("ignored")}>Ignore</Button>
      <Button kind="bad" onClick={() => confirmed("discarded")}>Discard</Button>
      <Button onClick={() => confirmed("open")}>Reopen</Button>
      <button type="button" class="button bare" aria-label="Clear the selection" onClick={() => { ticked.value = new Set(); everything.value = false; }}>✕</button>
      {asking.asked && (
        <Dialog title={`${DONE[asking.asked.status]?.replace("Marked", "Mark").replace(/d$/, asking.asked.status === "fixed" ? "d" : "")} ${plural(size, "stack")}?`} onClose={asking.close}>
          <p>{plural(size, "stack")} with {plural(inEvents, "event")} in this time. {asking.asked.status === "discarded" && "New events of them will be thrown away when they arrive; what is stored stays."} You can undo this.</p>
          <div class="row"><Button kind="main" onClick={async () => { const { status, more } = asking.asked!; await act(status, more); asking.close(); }}>{DONE[asking.asked.status]?.startsWith("Marked") ? "Mark fixed" : "Do it"}</Button><Button onClick={asking.close}>Cancel</Button></div>
        </Dialog>
      )}
    </div>
  );
}

const question = signal<{ status: string; more: Record<string, string> } | null>(null);
const useAsking = () => ({ asked: question.value, ask: (status: string, more: Record<string, string>) => { question.value = { status, more }; }, close: () => { question.value = null; } });

async function undo(old: [string, Status][], again: () => void): Promise<void> {
  const by = new Map<string, string[]>();
  for (const [id, status] of old) by.set(status, [...(by.get(status) ?? []), id]);
  await attempt(async () => {
    for (const [status, ids] of by) await setStatus(ids, status === "regressed" ? "open" : status, status === "snoozed" ? { snoozeUntilUtc: later(24) } : {});
  }, "Undone.");
  again();
}

export const offset = (): string => `${-new Date().getTimezoneOffset()}m`;

function earlier(): string {
  const { from, until } = range.value;
  const text = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  return `${text(2 * from - until)}-${text(from)}`;
}

export { DEFAULT_TIME };
