// Rows of events and stacks: a thing's name is bold, its message quieter, its place quietest.
import type { ComponentChildren } from "preact";
import type { Data, EventSummary, StackSummary } from "./types";
import { Said, StatusWord, Time, Type, typeOf } from "./ui";
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

export function EventRows({ events, empty, caption }: { events: EventSummary[]; empty?: ComponentChildren; caption: string }) {
  if (!events.length) return <>{empty}</>;
  return (
    <table>
      <caption class="sr">{caption}</caption>
      <thead><tr><th scope="col">Event</th>{!project() && <th scope="col" class="c4">Project</th>}<th scope="col" class="c3">User</th><th scope="col" class="c4">Version</th><th scope="col" class="n c2">When</th></tr></thead>
      <tbody>
        {events.map((event) => (
          <tr key={event.id}>
            <What href={to(`/event/${event.id}`, { time: null })} type={event.type} level={text(event.data, "Level")} named={nameEvent(event)} mini={<><Time at={event.date} /><span>{person(event.data)}</span></>} />
            {!project() && <td class="c4 quiet short">{event.project_name}</td>}
            <td class="c3 quiet short"><Said>{person(event.data)}</Said></td>
            <td class="c4 quiet short">{event.version ?? ""}</td>
            <td class="n c2 quiet"><Time at={event.date} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function StackMini({ stack }: { stack: StackSummary }) {
  return <><StatusWord status={stack.status} /><span>{plural(stack.total, "event")}</span><span>{number(stack.users)} users</span><Time at={stack.last_occurrence} /></>;
}
