// One event: what was thrown first; who, where and what they did before beside it.
import { useEffect } from "preact/hooks";
import { call, get, linked, useLoad } from "../api";
import { bytes, clockTime, duration, localTime, ago, plural } from "../format";
import { nameEvent, text } from "../lists";
import type { Data, EventSummary, Json, Stack, StoredEvent } from "../types";
import { attempt, Button, copy, Empty, Fact, Facts, Icon, Menu, Shown, StatusWord, Tabs, Type, Value } from "../ui";
import { projects, reloadProjects } from "../session";
import { go, query, to } from "../url";
import { cut, Long, thrown, Trace, traceText, Tree, type Thrown } from "../trace";

interface Opened { event: StoredEvent; stack: Stack | null; older: string | null; newer: string | null }

const object = (value: Json | undefined): Data => (value && typeof value === "object" && !Array.isArray(value) ? value : {});

export function EventPage({ id }: { id: string }) {
  const loaded = useLoad<Opened>(`event ${id}`, async (abort) => {
    const answer = await call<StoredEvent>("GET", `/events/${id}`, { signal: abort });
    const stackId = answer.data.stack_id;
    const stack = stackId ? await get<Stack>(`/stacks/${stackId}`, undefined, abort).catch(() => null) : null;
    const beside = (relation: string) => linked(answer.headers, relation)?.pathname.split("/").pop() ?? null;
    return { event: answer.data, stack, older: beside("previous"), newer: beside("next") };
  });
  return <Shown loaded={loaded} rows={8}>{(opened) => <Opened key={opened.event.id} {...opened} />}</Shown>;
}

// A reference id is known to its sender before the event is stored.
export function ReferencePage({ reference }: { reference: string }) {
  const loaded = useLoad(`reference ${reference}`, (abort) => get<StoredEvent[]>(`/events/by-ref/${reference}`, { limit: 2 }, abort));
  const found = loaded.data;
  useEffect(() => {
    if (found?.length === 1) go(`/event/${found[0]!.id}`, { replace: true });
    if (found?.length !== 0) return;
    const timer = setTimeout(loaded.again, 1500);
    return () => clearTimeout(timer);
  }, [found]);
  useEffect(() => { if (found && found.length > 1) go(to("/events", { filter: `reference:${reference}`, time: "all" }), { replace: true }); }, [found]);
  return (
    <Shown loaded={loaded}>
      {() => (
        <section class="panel"><Empty page title="Not stored yet">
          <p>No event has the reference id <code>{reference}</code> yet. If it was accepted it is still in the queue: this page opens it as soon as it is stored.</p>
          <p class="row waiting" role="status"><span class="dot" /> Looking every two seconds</p>
          <p class="row"><a class="button" href={to("/stream")}>Watch the stream</a></p>
        </Empty></section>
      )}
    </Shown>
  );
}

function Opened({ event, stack, older, newer }: Opened) {
  const data = event.data ?? {};
  const errors = thrown(data);
  const [request, environment, user] = [object(data["@request"]), object(data["@environment"]), object(data["@user"])];
  const extended = Object.fromEntries(Object.entries(data).filter(([name]) => !name.startsWith("@")));
  const description = object(data["@user_description"]);
  const session = event.type === "session" ? event.reference_id : text(data, "@ref:session");
  const heading = event.message || errors[0]?.message || event.source || `${event.type} event`;
  const tabs: [string, string][] = [];
  if (errors.length) tabs.push(["exception", "Exception"]);
  tabs.push(["overview", "Overview"]);
  if (Object.keys(environment).length) tabs.push(["environment", "Environment"]);
  if (Object.keys(request).length) tabs.push(["request", "Request"]);
  const promoted = projects.value.find((one) => one.id === event.project_id)?.promoted_tabs ?? [];
  for (const name of promoted) if (Object.hasOwn(extended, name)) tabs.push([`data.${name}`, name.slice(0, 60)]);
  const rest = Object.fromEntries(Object.entries(extended).filter(([name]) => !promoted.includes(name)));
  if (Object.keys(rest).length) tabs.push(["data", "Extended data"]);
  if (session) tabs.push(["session", "Session"]);
  tabs.push(["json", "JSON"]);
  const tab = tabs.some(([id]) => id === query("tab")) ? query("tab") : tabs[0]![0];
  const trace = errors.length ? traceText(errors) : heading;
  const markdown = () => copy(asMarkdown(event, errors, heading), "Markdown");
  const keep = query("tab") ? { tab: query("tab"), time: null } : { time: null };
  const level = text(data, "@level");
  useEffect(() => { document.title = `${heading.slice(0, 80)} · Headrace`; }, [heading]);
  return (
    <>
      <div class="crumb">
        <a href={to("/events")}>Events</a> <span aria-hidden="true">/</span> {stack ? <a class="said grow" href={to(`/stack/${stack.id}`)} data-key="u">{stack.title.slice(0, 200)}</a> : <span class="grow" />}
        <span class="join">
          {older ? <a class="button" href={to(`/event/${older}`, keep)} data-key="ArrowLeft"><Icon name="left" /> Older</a> : <span class="button off"><Icon name="left" /> Older</span>}
          {newer ? <a class="button" href={to(`/event/${newer}`, keep)} data-key="ArrowRight">Newer <Icon name="right" /></a> : <span class="button off">Newer <Icon name="right" /></span>}
        </span>
      </div>
      <header class="subject">
        <div class="grow">
          <h1 class="said clamp">{heading.slice(0, 2000)}</h1>
          <p class="meta">
            <Type type={event.type} level={level} />
            {stack && stack.status !== "open" && <StatusWord status={stack.status} more={stack.fixed_in_version ? ` in ${stack.fixed_in_version}` : ""} />}
            <time dateTime={event.date} title={localTime(new Date(event.date))}>{agoText(event.date)}, {clockTime(new Date(event.date))}</time>
            {text(user, "identity") && <Value field="user" value={text(user, "identity")} />}
            {text(data, "@version") && <Value field="version" value={text(data, "@version")} />}
          </p>
        </div>
        <div class="row">
          <Button kind="main" icon="copy" keys="c" onClick={() => copy(trace, "Stack trace")}>Copy stack trace</Button>
          <Menu label="Copy something else" text="Copy" end icon="copy">
            <button type="button" class="opt" data-key="m" onClick={markdown}>As Markdown <kbd>m</kbd></button>
            <button type="button" class="opt" onClick={() => copy(JSON.stringify(event, null, 2), "JSON")}>As JSON</button>
            {Object.keys(request).length > 0 && <button type="button" class="opt" onClick={() => copy(asCurl(request), "curl command")}>The request as curl</button>}
            <button type="button" class="opt" onClick={() => copy(`${location.origin}/event/${event.id}`, "Link")}>Link to this event</button>
          </Menu>
        </div>
      </header>
      <Tabs label="Parts of the event" tabs={tabs} current={tab} />
      <div class="two">
        <div class="stack">
          {tab === "exception" && <Trace errors={errors} />}
          {tab === "overview" && <Overview event={event} data={data} description={description} heading={heading} />}
          {tab === "environment" && <section class="panel pad" aria-label="Environment"><EnvironmentFacts environment={environment} /></section>}
          {tab === "request" && <RequestPanel request={request} />}
          {tab === "data" && <section class="panel" aria-label="Extended data"><div class="cap"><h2>Extended data</h2><span class="grow" /><Promotion project={event.project_id} names={Object.keys(rest)} /></div><div class="pad"><Tree data={rest} path="data" label="" /></div></section>}
          {tab.startsWith("data.") && <PromotedPanel key={tab} project={event.project_id} name={tab.slice(5)} value={extended[tab.slice(5)]!} />}
          {tab === "session" && <section class="panel pad" aria-label="Session"><SessionSteps project={event.project_id} session={session!} current={event.id} most={100} /></section>}
          {tab === "json" && <section class="panel" aria-label="JSON"><div class="cap"><h2>As it is stored</h2><span class="grow" /><a class="button" href={`/api/v2/events/${event.id}`} download={`${event.id}.json`}><Icon name="save" /> Download</a></div><pre class="said code" tabIndex={0} role="region" aria-label="The stored event">{cut(JSON.stringify(event, null, 2))}</pre></section>}
        </div>
        <aside class="side" aria-label="Who, where and when">
          <section>
            <h2>Who and where</h2>
            <Facts>
              <Pair name="User" field="user" value={text(user, "identity")} more={text(user, "name") !== text(user, "identity") ? text(user, "name") : ""} />
              <Pair name="Version" field="version" value={text(data, "@version")} />
              <Pair name="Machine" field="machine" value={text(environment, "machine_name")} />
              <Pair name="Browser" field="browser" value={text(object(request["data"]), "@browser")} more={text(object(request["data"]), "@browser_version")} />
              <Pair name="System" field="os" value={text(object(request["data"]), "@os")} more={text(object(request["data"]), "@os_version")} />
              <Pair name="Country" field="country" value={text(object(data["@location"]), "country")} />
              <Pair name="Address" field="ip" value={text(request, "client_ip_address") || text(environment, "ip_address").split(",")[0]!.trim()} />
              <Pair name="Path" field="path" value={text(request, "path")} />
              <Pair name="Source" field="source" value={event.source ?? ""} />
              <Pair name="Reference" field="reference" value={event.reference_id ?? ""} />
              {event.tags?.length ? <Fact name="Tags"><span class="tags">{event.tags.map((tag) => <a key={tag} class="tag said" href={to("/events", { filter: `tag:"${tag.replace(/["\\]/g, "\\$&")}"` })}>{tag}</a>)}</span></Fact> : null}
              <Fact name="Project"><a class="value" href={to("/stacks", { project: event.project_id })}>Show its stacks</a></Fact>
            </Facts>
          </section>
          {session && <section><h2>Session <a class="link" href={to(`/session/${session}`, { project: event.project_id })}>Open</a></h2><SessionSteps project={event.project_id} session={session} current={event.id} most={8} /></section>}
          <section>
            <h2>When</h2>
            <Facts>
              <Fact name="Here">{localTime(new Date(event.date))}</Fact>
              <Fact name="UTC">{safeIso(event.date)}</Fact>
              {!/(Z|[+-]00:00)$/.test(event.date) && <Fact name="There">{event.date.slice(0, 19).replace("T", " ")} {event.date.slice(-6)}</Fact>}
              <Fact name="Accepted"><time dateTime={event.created_utc} title={localTime(new Date(event.created_utc))}>{agoText(event.created_utc)}</time></Fact>
            </Facts>
          </section>
        </aside>
      </div>
    </>
  );
}

const reload = async (done: string, method: string, project: string, name: string) => {
  if (await attempt(() => call(method, `/projects/${project}/promotedtabs`, { query: { name } }), done)) await reloadProjects();
};

// Data that people look at often gets a tab, in all events of the project.
function Promotion({ project, names }: { project: string; names: string[] }) {
  return (
    <Menu label="Show as a tab of its own" text="Make a tab" end icon="plus">
      <p class="head">In all events of this project</p>
      {names.slice(0, 50).map((name) => <button key={name} type="button" class="opt said" onClick={() => reload("It is a tab now.", "POST", project, name)}>{name.slice(0, 60)}</button>)}
    </Menu>
  );
}

function PromotedPanel({ project, name, value }: { project: string; name: string; value: Json }) {
  const isTree = value !== null && typeof value === "object" && !Array.isArray(value);
  return (
    <section class="panel" aria-label={name.slice(0, 60)}>
      <div class="cap"><h2 class="said">{name.slice(0, 200)}</h2><span class="grow" /><Button onClick={() => reload("It is in the extended data again.", "DELETE", project, name)}>No longer a tab</Button></div>
      <div class="pad"><Tree data={isTree ? value : { [name]: value }} path={isTree ? `data.${name}` : "data"} label="" /></div>
    </section>
  );
}

const agoText = (at: string): string => { const said = ago(new Date(at)); return /^\d/.test(said) && /(s|min|h|d)$/.test(said) ? `${said} ago` : said; };
const safeIso = (at: string): string => { const date = new Date(at); return Number.isNaN(date.getTime()) ? at : date.toISOString().replace("T", " "); };

function Pair({ name, field, value, more = "" }: { name: string; field: string; value: string; more?: string }) {
  if (!value) return null;
  return <Fact name={name}><Value field={field} value={value}>{value.slice(0, 300)}</Value>{more && <span class="faint"> {more}</span>}</Fact>;
}

function Overview({ event, data, description, heading }: { event: StoredEvent; data: Data; description: Data; heading: string }) {
  return (
    <section class="panel pad" aria-label="Overview">
      <p class="said whole"><Long text={heading} /></p>
      {text(description, "description") && <blockquote><p class="said">{text(description, "description")}</p><footer>{text(description, "email_address") || "The user"}</footer></blockquote>}
      <Facts>
        <Fact name="Type"><Value field="type" value={event.type} /></Fact>
        {text(data, "@level") && <Fact name="Level"><Value field="level" value={text(data, "@level")} /></Fact>}
        {event.source && <Fact name="Source"><Value field="source" value={event.source} /></Fact>}
        {event.value != null && <Fact name="Value">{String(event.value)}</Fact>}
        {event.count != null && <Fact name="Count">{String(event.count)}</Fact>}
        {event.geo && <Fact name="Place">{event.geo}</Fact>}
        <Fact name="First of its stack">{event.is_first_occurrence ? "yes" : "no"}</Fact>
        {text(object(data["@submission_client"]), "user_agent") && <Fact name="Sent by">{text(object(data["@submission_client"]), "user_agent")}</Fact>}
        <Fact name="Event id"><code>{event.id}</code></Fact>
      </Facts>
    </section>
  );
}

const SIZES = new Set(["total_physical_memory", "available_physical_memory", "process_memory_size"]);

function EnvironmentFacts({ environment }: { environment: Data }) {
  return (
    <Facts>
      {Object.entries(environment).filter(([name, value]) => name !== "data" && value !== "" && value !== null).map(([name, value]) => (
        <Fact key={name} name={words(name)}>{name === "machine_name" ? <Value field="machine" value={String(value)} /> : SIZES.has(name) ? bytes(Number(value)) : <Long text={text(environment, name)} />}</Fact>
      ))}
      {Object.entries(object(environment["data"])).map(([name]) => <Fact key={name} name={name}><Long text={text(object(environment["data"]), name)} /></Fact>)}
    </Facts>
  );
}

const words = (name: string): string => name.replace(/^o_s_/, "system_").replace(/_/g, " ").replace(/^./, (first) => first.toUpperCase());

function RequestPanel({ request }: { request: Data }) {
  const parts: [string, Data][] = [["Query", object(request["query_string"])], ["Headers", object(request["headers"])], ["Cookies", object(request["cookies"])]];
  const body = request["post_data"];
  return (
    <section class="panel pad" aria-label="Request">
      <p class="mono said whole">{text(request, "http_method") || "GET"} {address(request)}</p>
      <Facts>
        {text(request, "referrer") && <Fact name="Referrer"><Long text={text(request, "referrer")} /></Fact>}
        {text(request, "user_agent") && <Fact name="User agent"><Long text={text(request, "user_agent")} /></Fact>}
        {text(request, "client_ip_address") && <Fact name="Address"><Value field="ip" value={text(request, "client_ip_address")} /></Fact>}
      </Facts>
      {parts.filter(([, values]) => Object.keys(values).length).map(([name, values]) => (
        <div key={name}><h2>{name}</h2><Facts>{Object.keys(values).slice(0, 200).map((key) => <Fact key={key} name={key}><Long text={text(values, key)} /></Fact>)}</Facts></div>
      ))}
      {body != null && <><h2>Body</h2>{typeof body === "object" ? <Tree data={Array.isArray(body) ? Object.fromEntries(body.entries()) : body} path="" label="" /> : <pre class="said code" tabIndex={0} role="region" aria-label="Body">{cut(String(body))}</pre>}</>}
    </section>
  );
}

export function SessionSteps({ project, session, current, most }: { project: string; session: string; current: string; most: number }) {
  const loaded = useLoad(`session ${session} ${most}`, (abort) => get<EventSummary[]>(`/projects/${project}/events/sessions/${session}`, { mode: "summary", sort: "date", limit: Math.min(100, most) }, abort));
  return (
    <Shown loaded={loaded} rows={3}>
      {(events) => {
        events = events.toSorted((a, b) => Date.parse(a.date) - Date.parse(b.date) || Number(b.type === "session") - Number(a.type === "session"));
        if (!events.length) return <p class="faint">No event of this session is kept.</p>;
        const begin = new Date(events[0]!.date).getTime();
        return (
          <ol class="steps">
            {events.map((event, index) => {
              const named = nameEvent(event);
              return (
                <li key={event.id} class={event.id === current ? "now" : undefined}>
                  <span class="n" title={localTime(new Date(event.date))}>{index ? `+${duration((new Date(event.date).getTime() - begin) / 1000)}` : clockTime(new Date(event.date))}</span>
                  <span class="dot" aria-hidden="true" />
                  <span class="said">{event.id === current ? <b>This event</b> : <a class="value" href={to(`/event/${event.id}`)}>{event.type === "session" ? "Session started" : named.title.slice(0, 120)}</a>} <Type type={event.type} level={text(event.data, "Level")} /></span>
                </li>
              );
            })}
          </ol>
        );
      }}
    </Shown>
  );
}

function address(request: Data): string {
  const port = text(request, "port");
  const search = new URLSearchParams(Object.entries(object(request["query_string"])).map(([name, value]) => [name, String(value)])).toString();
  const shown = port && port !== "80" && port !== "443" ? `:${port}` : "";
  return `${request["is_secure"] ? "https" : "http"}://${text(request, "host") || "localhost"}${shown}${text(request, "path") || "/"}${search ? `?${search}` : ""}`;
}

const quote = (said: string): string => `'${said.replace(/'/g, `'\\''`)}'`;

function asCurl(request: Data): string {
  const lines = [`curl -X ${quote(text(request, "http_method") || "GET")} ${quote(address(request))}`];
  for (const name of Object.keys(object(request["headers"]))) lines.push(`-H ${quote(`${name}: ${text(object(request["headers"]), name)}`)}`);
  if (text(request, "user_agent") && !Object.keys(object(request["headers"])).some((name) => /^user-agent$/i.test(name))) lines.push(`-A ${quote(text(request, "user_agent"))}`);
  const cookies = Object.keys(object(request["cookies"]));
  if (cookies.length) lines.push(`-b ${quote(cookies.map((name) => `${name}=${text(object(request["cookies"]), name)}`).join("; "))}`);
  if (request["post_data"] != null) lines.push(`--data-raw ${quote(text(request, "post_data"))}`);
  return lines.join(" \\\n  ");
}

function asMarkdown(event: StoredEvent, errors: Thrown[], heading: string): string {
  const data = event.data ?? {};
  const fence = "`".repeat(Math.max(3, ...[...traceText(errors).matchAll(/`+/g)].map((found) => found[0].length + 1)));
  const facts: [string, string][] = [
    ["Type", event.type], ["When", event.date], ["Version", text(data, "@version")], ["User", text(object(data["@user"]), "identity")], ["Source", event.source ?? ""], ["Machine", text(object(data["@environment"]), "machine_name")],
    ["Request", Object.keys(object(data["@request"])).length ? `${text(object(data["@request"]), "http_method")} ${address(object(data["@request"]))}` : ""], ["Tags", event.tags?.join(", ") ?? ""], ["Reference", event.reference_id ?? ""], ["Event", `${location.origin}/event/${event.id}`],
  ];
  const extended = Object.fromEntries(Object.entries(data).filter(([name]) => !name.startsWith("@")));
  return [
    `# ${heading.split("\n")[0]}`, "", ...facts.filter(([, said]) => said).map(([name, said]) => `- **${name}:** ${said.replace(/\n/g, " ")}`),
    ...(errors.length ? ["", "## Stack trace", "", fence, traceText(errors), fence] : []),
    ...(Object.keys(extended).length ? ["", "## Data", "", `${fence}json`, JSON.stringify(extended, null, 2), fence] : []), "",
  ].join("\n");
}

export { plural };
