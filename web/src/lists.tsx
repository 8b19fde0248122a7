// Rows of events and stacks: a thing's name is bold, its message quieter, its place quietest.
import type { ComponentChildren } from "preact";
import type { Data, EventSummary, StackSummary } from "./types";
import { keep, kept } from "./kept";
import { Empty, Menu, Said, StatusWord, Time, Type, typeOf } from "./ui";
import { project } from "./session";
import { number, plural } from "./format";
import { to } from "./url";

export const text = (data: Data | undefined, name: string): string => {
  const value = data?.[name];
  return value == null ? "" : Array.isArray(value) && value.every((one) => typeof one !== "object") ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value);
};

export interface Named { title: string; said: string; where: string }

export function nameEvent(event: EventSummary): Named {
  const { data } = event;
  const [message, type, source] = [text(data, "Message"), text(data, "Type"), text(data, "Source")];
  const kind = typeOf(event.template_key);
  if (kind === "error") return { title: type || message || "Error", said: type ? message : "", where: text(data, "MethodFullName") || text(data, "Path") };
  if (kind === "log") return { title: text(data, "SourceShortName") || source || message, said: source ? message : "", where: "" };
  if (kind === "session") return { title: text(data, "Name") || text(data, "Identity") || "Anonymous", said: text(data, "SessionId"), where: "" };
  return { title: message && kind === "" ? message : source || message || event.type, said: kind === "" && source !== message ? source : "", where: text(data, "IpAddress") };
}

export function nameStack(stack: StackSummary): Named {
  const { data } = stack;
  const type = text(data, "Type");
  if (typeOf(stack.template_key) === "error" && type) return { title: type, said: stack.title, where: text(data, "MethodFullName") };
  return { title: stack.title, said: "", where: text(data, "Source") === stack.title ? "" : text(data, "Source") };
}

export const What = ({ href, type, level, named, mini, id }: { href: string; type: string; level?: string | undefined; named: Named; mini?: ComponentChildren; id?: string }) => (
  <td class="what">
    <a class="row-link" href={href} data-row={id ?? href}>
      <span class="line"><Type type={type} level={level} /> <Said class="title">{named.title}</Said> {named.where && <Said class="where">{named.where}</Said>}</span>
      {named.said && <Said class="message">{named.said}</Said>}
    </a>
    {mini && <div class="mini">{mini}</div>}
  </td>
);

export const person = (data: Data): string => text(data, "Name") || text(data, "Identity");

// A column of the list of events: its id, its name, from which width it is shown, and its cell.
const COLUMNS: [string, string, string, (event: EventSummary) => ComponentChildren][] = [
  ["project", "Project", "c4", (event) => event.project_name],
  ["user", "User", "c3", (event) => <Said>{person(event.data)}</Said>],
  ["version", "Version", "c4", (event) => event.version ?? ""],
  ["tags", "Tags", "c4", (event) => <Said>{(event.tags ?? []).join(", ").slice(0, 200)}</Said>],
  ["source", "Source", "c4", (event) => <Said>{text(event.data, "Source")}</Said>],
  ["path", "Path", "c4", (event) => <Said>{text(event.data, "Path")}</Said>],
  ["date", "When", "n c2", (event) => <Time at={event.date} />],
];
const DEFAULT = ["project", "user", "version", "date"];
const columns = kept("columns", DEFAULT, (value): value is string[] => Array.isArray(value) && value.every((one) => typeof one === "string"));

// It stays open while columns are chosen.
export function ColumnsMenu() {
  const choose = (id: string) => keep("columns", columns.value.includes(id) ? columns.value.filter((one) => one !== id) : [...columns.value, id]);
  return (
    <Menu label="Columns of the list" text="Columns" end icon="columns">
      <p class="head">Shown where there is room</p>
      {COLUMNS.map(([id, name]) => <label key={id} class="opt"><input type="checkbox" checked={columns.value.includes(id)} onChange={() => choose(id)} /> {name}</label>)}
    </Menu>
  );
}

export function EventRows({ events, empty, caption }: { events: EventSummary[]; empty?: ComponentChildren; caption: string }) {
  if (!events.length) return <>{empty}</>;
  // Columns that somebody has chosen hide later than those that are there by themselves.
  const place = (by: string) => (columns.value !== DEFAULT && by === "c4" ? "c3" : by);
  const shown = COLUMNS.filter(([id]) => columns.value.includes(id) && (id !== "project" || !project())).map(([id, name, by, cell]) => [id, name, place(by), cell] as const);
  return (
    <table class={shown.length > 4 ? "many" : undefined}>
      <caption class="sr">{caption}</caption>
      <thead><tr><th scope="col">Event</th>{shown.map(([id, name, place]) => <th key={id} scope="col" class={place}>{name}</th>)}</tr></thead>
      <tbody>
        {events.map((event) => (
          <tr key={event.id}>
            <What href={to(`/event/${event.id}`, { time: null })} type={event.type} level={text(event.data, "Level")} named={nameEvent(event)} mini={<><Time at={event.date} /><span>{person(event.data)}</span></>} />
            {shown.map(([id, , place, cell]) => <td key={id} class={`${place} quiet ${id === "date" ? "" : "short"}`}>{cell(event)}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

// A search that was stopped in time goes on from the next page.
export const SoFar = () => <Empty title="Nothing found so far"><p>Time sufficed to search only a part. The next page goes on from there; a shorter time or another filter finds more at once.</p></Empty>;

export function StackMini({ stack }: { stack: StackSummary }) {
  return <><StatusWord status={stack.status} /><span>{plural(stack.total, "event")}</span><span>{number(stack.users)} users</span><Time at={stack.last_occurrence} /></>;
}
