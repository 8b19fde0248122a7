// Projects and organizations: what they are, and what may be changed.
import { useEffect, useState } from "preact/hooks";
import { call, get, post, useLoad } from "../api";
import { bars } from "../chart";
import { Spark } from "../chart";
import { now } from "../clock";
import { exact, number, plural } from "../format";
import { me, reloadProjects } from "../session";
import type { Config, Organization, Person, Project, Token, Usage } from "../types";
import { attempt, Button, copy, CopyButton, Dialog, Empty, Form, Icon, Note, say, Shown, Time } from "../ui";
import { go } from "../url";
import { NameForm, Snippets } from "./start";

const Subnav = ({ base, pages, current, search = "" }: { base: string; pages: [string, string][]; current: string; search?: string }) => (
  <nav class="tabs" aria-label="Settings">{pages.map(([id, name]) => <a key={id} href={`${base}/${id}${search}`} aria-current={id === current ? "page" : undefined}>{name}</a>)}</nav>
);

const PROJECT_PAGES: [string, string][] = [["setup", "Set-up"], ["keys", "Keys"], ["config", "Client configuration"], ["privacy", "Privacy"], ["usage", "Usage"]];

export function ProjectPage({ id, page }: { id: string; page: string }) {
  const loaded = useLoad(`project ${id}`, (abort) => get<Project>(`/projects/${id}`, undefined, abort));
  useEffect(() => { document.title = `${loaded.data?.name ?? "Project"} · Headrace`; }, [loaded.data?.name]);
  return (
    <Shown loaded={loaded}>
      {(project) => (
        <>
          <div class="crumb"><a href={`/organization/${project.organization_id}/projects`} data-key="u">{project.organization_name}</a> <span aria-hidden="true">/</span> <span class="grow">Project</span><a class="button" href={`/stacks?project=${id}`}>Show its stacks</a></div>
          <h1 class="said">{project.name}</h1>
          <Subnav base={`/project/${id}`} pages={PROJECT_PAGES} current={page} search={`?project=${id}`} />
          {page === "setup" && <SetUp project={project} again={loaded.again} />}
          {page === "keys" && <Keys project={project} />}
          {page === "config" && <Configuration project={project} />}
          {page === "privacy" && <Privacy project={project} again={loaded.again} />}
          {page === "usage" && <UsagePanel months={project.usage} hours={project.usage_hours} what="project" />}
          {!PROJECT_PAGES.some(([one]) => one === page) && <Missing />}
        </>
      )}
    </Shown>
  );
}

export const Missing = () => <section class="panel"><Empty page title="There is no such page"><p class="row"><a class="button" href="/stacks">Go to the stacks</a></p></Empty></section>;

function SetUp({ project, again }: { project: Project; again: () => void }) {
  const [asking, ask] = useState<"" | "data" | "project">("");
  return (
    <>
      <section class="panel pad" aria-label="Name"><h2>Name</h2><Rename name={project.name} save={(name) => call("PATCH", `/projects/${project.id}`, { body: { name } })} done={() => { again(); void reloadProjects(); }} /></section>
      <section class="panel pad" aria-label="Send events"><h2>Send events</h2><Snippets project={project} waits={false} /></section>
      <section class="panel pad danger" aria-label="Delete">
        <h2>Delete</h2>
        <div class="row"><Button kind="bad" onClick={() => ask("data")}>Delete all its events …</Button><Button kind="bad" onClick={() => ask("project")}>Delete the project …</Button></div>
      </section>
      {asking === "data" && <Confirm title={`Delete all events of ${project.name}?`} word={project.name} text="All its events and stacks are deleted for good. Keys and settings stay." button="Delete all events" onClose={() => ask("")} action={async () => { await post(`/projects/${project.id}/reset-data`); say("The events are being deleted."); }} />}
      {asking === "project" && <Confirm title={`Delete ${project.name}?`} word={project.name} text="The project, its keys and all its events are deleted for good. Programs with its keys are refused immediately." button="Delete the project" onClose={() => ask("")} action={async () => { await call("DELETE", `/projects/${project.id}`); say("Deleted."); await reloadProjects(); go("/stacks"); }} />}
    </>
  );
}

function Confirm({ title, word, text, button, action, onClose }: { title: string; word: string; text: string; button: string; action: () => Promise<unknown>; onClose: () => void }) {
  const [typed, type] = useState("");
  return (
    <Dialog title={title} onClose={onClose}>
      <Form onSubmit={async () => { await action(); onClose(); }}>
        <p>{text} This cannot be undone.</p>
        <label>Type its name, <b class="said">{word}</b><input class="input" autocomplete="off" value={typed} onInput={(event) => type(event.currentTarget.value)} /></label>
        <div class="row"><Button kind="bad" type="submit" disabled={typed.trim() !== word.trim()}>{button}</Button><Button onClick={onClose}>Cancel</Button></div>
      </Form>
    </Dialog>
  );
}

function Rename({ name, save, done }: { name: string; save: (name: string) => Promise<unknown>; done: () => void }) {
  return (
    <Form class="form inline" onSubmit={async (value) => { await save(value("name")); say("Saved."); done(); }}>
      <label><span class="sr">Name</span><input class="input" name="name" defaultValue={name} required maxLength={255} /></label>
      <Button type="submit">Save</Button>
    </Form>
  );
}

const SCOPES: Record<string, string> = { client: "Send events", user: "Send and read events", global: "Everything on this server" };

function Keys({ project }: { project: Project }) {
  const tokens = useLoad(`tokens ${project.id}`, (abort) => get<Token[]>(`/projects/${project.id}/tokens`, { limit: 100 }, abort));
  const [made, setMade] = useState<Token | null>(null);
  const [revoking, revoke] = useState<Token | null>(null);
  const create = async (value: (name: string) => string, form: HTMLFormElement) => {
    setMade(await post<Token>(`/projects/${project.id}/tokens`, { scopes: [value("scope")], notes: value("notes") || null }));
    form.reset();
    say("The key works.");
    tokens.again();
  };
  return (
    <>
      {made && (
        <Note tone="good" icon="check"><b>This is the key.</b> {made.scopes.includes("user") && "It is shown only now: keep it where only its program can read it."}<div class="secret"><code>{made.id}</code> <CopyButton text={made.id} what="Key" /> <Button kind="bare" onClick={() => setMade(null)}>Done</Button></div></Note>
      )}
      <section class="panel list" aria-label="Keys">
        <Shown loaded={tokens} rows={3}>
          {(found) => found.length ? (
            <table>
              <caption class="sr">Keys of {project.name}</caption>
              <thead><tr><th scope="col">Key</th><th scope="col" class="c2">May</th><th scope="col" class="c3">Notes</th><th scope="col" class="n c3">Made</th><th scope="col"><span class="sr">Change</span></th></tr></thead>
              <tbody>
                {found.map((token) => (
                  <tr key={token.id} class={token.is_disabled ? "off" : undefined}>
                    <td class="short"><code>{mask(token)}</code>{token.scopes.length === 1 && token.scopes[0] === "client" && <> <button type="button" class="button bare" aria-label="Copy the key" onClick={() => copy(token.id, "Key")}><Icon name="copy" /></button></>}</td>
                    <td class="c2">{SCOPES[token.scopes.includes("global") ? "global" : token.scopes.includes("user") ? "user" : "client"]}{token.is_disabled && ", disabled"}</td>
                    <td class="c3 short"><Notes token={token} again={tokens.again} /></td>
                    <td class="n c3 quiet"><Time at={token.created_utc} /></td>
                    <td class="n"><Button onClick={() => attempt(() => call("PATCH", `/tokens/${token.id}`, { body: { is_disabled: !token.is_disabled } }), token.is_disabled ? "The key works again." : "The key is refused now.").then(tokens.again)}>{token.is_disabled ? "Enable" : "Disable"}</Button> <Button kind="bad" onClick={() => revoke(token)}>Revoke</Button></td>
                  </tr>
                ))}
              </tbody>
            </table>
          ) : <Empty title="No key yet"><p>Without a key no program can send events to this project. Make one below.</p></Empty>}
        </Shown>
      </section>
      <section class="panel pad" aria-label="New key">
        <h2>New key</h2>
        <Form class="form inline" onSubmit={create}>
          <label>May<select class="input" name="scope"><option value="client">{SCOPES["client"]}</option><option value="user">{SCOPES["user"]}</option></select></label>
          <label>Notes<input class="input" name="notes" maxLength={1000} placeholder="which program has it" /></label>
          <Button kind="main" type="submit">Make a key</Button>
        </Form>
        <p class="hint">A key that only sends may stand in apps and web pages, and can be read here again. One that reads is shown once.</p>
      </section>
      {revoking && <Dialog title="Revoke this key?" onClose={() => revoke(null)}><p>Programs with <code>{mask(revoking)}</code> {revoking.notes && <>({revoking.notes}) </>}are refused within a second, and their events are lost to you. This cannot be undone.</p><div class="row"><Button kind="bad" onClick={async () => { await attempt(() => call("DELETE", `/tokens/${revoking.id}`), "Revoked."); revoke(null); tokens.again(); }}>Revoke</Button><Button onClick={() => revoke(null)}>Cancel</Button></div></Dialog>}
    </>
  );
}

const mask = (token: Token): string => `${token.id.slice(0, 8)}…${token.id.length > 24 ? token.id.slice(-4) : ""}`;

function Notes({ token, again }: { token: Token; again: () => void }) {
  const [editing, edit] = useState(false);
  if (!editing) return <button type="button" class="value plain said" onClick={() => edit(true)} title="Change the notes">{token.notes || "add notes"}</button>;
  return <Form class="row" onSubmit={async (value) => { await call("PATCH", `/tokens/${token.id}`, { body: { notes: value("notes") } }); say("Saved."); edit(false); again(); }}><input class="input" name="notes" aria-label="Notes" defaultValue={token.notes ?? ""} maxLength={1000} autofocus /><Button type="submit">Save</Button></Form>;
}

function useConfig(project: Project) {
  const config = useLoad(`config ${project.id}`, (abort) => get<Config>(`/projects/${project.id}/client-settings`, undefined, abort));
  const save = async (key: string, value: string) => {
    await (value.trim() ? call("POST", `/projects/${project.id}/config`, { query: { key }, body: { value } }) : call("DELETE", `/projects/${project.id}/config`, { query: { key } }));
    config.again();
  };
  return { config, save };
}

const TAKEN_OVER = "Saved; clients take it over with their next event.";

function Configuration({ project }: { project: Project }) {
  const { config, save } = useConfig(project);
  return (
    <section class="panel list" aria-label="Client configuration">
      <div class="cap"><p class="quiet">Clients fetch these values by themselves; changing one needs no deployment.</p></div>
      <Shown loaded={config} rows={3}>
        {({ settings }) => {
          const shown = Object.entries(settings).filter(([key]) => key !== "@@DataExclusions");
          return shown.length ? (
            <table>
              <caption class="sr">Values</caption>
              <thead><tr><th scope="col">Name</th><th scope="col">Value</th><th scope="col"><span class="sr">Change</span></th></tr></thead>
              <tbody>{shown.map(([key, value]) => (
                <tr key={key}><td class="said wrap"><code>{key}</code></td><td class="said wrap">{value}</td><td class="n"><Button kind="bare" label={`Remove ${key}`} onClick={() => attempt(() => save(key, ""), TAKEN_OVER)}>Remove</Button></td></tr>
              ))}</tbody>
            </table>
          ) : <Empty title="No values"><p>For example <code>@@log:*</code> with the value <code>warn</code>: clients then send logs from warnings on.</p></Empty>;
        }}
      </Shown>
      <Form class="form inline pad" onSubmit={async (value, form) => { await save(value("key"), value("value")); say(TAKEN_OVER); form.reset(); }}><label>Name<input class="input" name="key" required maxLength={255} placeholder="@@log:*" /></label><label>Value<input class="input" name="value" required maxLength={10000} placeholder="warn" /></label><Button type="submit">Set</Button></Form>
    </section>
  );
}

function Privacy({ project, again }: { project: Project; again: () => void }) {
  const { config, save } = useConfig(project);
  return (
    <Shown loaded={config}>
      {({ settings }) => (
        <section class="panel pad" aria-label="Privacy">
          <h2>What is never stored</h2>
          <p class="quiet">Names of form fields, headers, cookies and data whose values are removed by the clients and again on arrival. <code>*</code> stands for anything.</p>
          <Form onSubmit={async (value) => { await save("@@DataExclusions", value("names")); say(TAKEN_OVER); }}>
            <label>Names, with commas<textarea class="input" name="names" rows={3} maxLength={10000} defaultValue={settings["@@DataExclusions"] ?? ""} placeholder="password, *secret*, authorization" /></label>
            <Button type="submit">Save</Button>
          </Form>
          <h2>Who the user is</h2>
          <label class="check"><input type="checkbox" checked={settings["@@IncludePrivateInformation"] !== "false"} onChange={(event) => attempt(() => save("@@IncludePrivateInformation", event.currentTarget.checked ? "" : "false"), TAKEN_OVER).then(config.again)} /> Clients may send names, addresses and machine names by themselves</label>
          <h2>Bots</h2>
          <label class="check"><input type="checkbox" checked={project.delete_bot_data_enabled} onChange={(event) => attempt(() => call("PATCH", `/projects/${project.id}`, { body: { delete_bot_data_enabled: event.currentTarget.checked } }), "Saved.").then(again)} /> Discard events whose request comes from a known bot</label>
        </section>
      )}
    </Shown>
  );
}

function UsagePanel({ months, hours, what, limit }: { months: Usage[]; hours: Usage[]; what: string; limit?: number }) {
  const hour = Math.floor(now() / 3_600_000) * 3_600_000;
  const byHour = bars(hours.map((hour) => ({ key: Date.parse(hour.date), key_as_string: hour.date, total: hour.total, aggregations: {} })), { from: hour - 7 * 86_400_000, until: hour + 3_600_000 }, 3_600_000);
  const month = months[months.length - 1];
  return (
    <section class="panel list" aria-label="Usage">
      <div class="cap"><h2>Events accepted</h2><span class="quiet">{limit && limit > 0 ? `${exact(month?.total ?? 0)} of ${exact(limit)} in this month` : "no monthly limit"}</span></div>
      <div class="pad"><p class="quiet">By hour, 7 days</p><div class="week"><Spark data={byHour} label={`Events of this ${what} by hour over 7 days`} /></div></div>
      <table>
        <caption class="sr">By month</caption>
        <thead><tr><th scope="col">Month (UTC)</th><th scope="col" class="n">Stored</th><th scope="col" class="n">Discarded</th><th scope="col" class="n c2">Too large</th><th scope="col" class="n c2">Deleted</th></tr></thead>
        <tbody>{[...months].reverse().map((one) => <tr key={one.date}><td>{one.date.slice(0, 7)}</td><td class="n">{exact(one.total)}</td><td class="n">{exact(one.discarded)}</td><td class="n c2">{exact(one.too_big)}</td><td class="n c2">{exact(one.deleted)}</td></tr>)}</tbody>
      </table>
    </section>
  );
}

const ORGANIZATION_PAGES: [string, string][] = [["projects", "Projects"], ["people", "People"], ["usage", "Usage and limit"], ["settings", "Settings"]];

export function OrganizationPage({ id, page }: { id: string; page: string }) {
  const loaded = useLoad(`organization ${id} ${page}`, (abort) => get<Organization>(`/organizations/${id}`, page === "projects" ? {} : {}, abort));
  useEffect(() => { document.title = `${loaded.data?.name ?? "Organization"} · Headrace`; }, [loaded.data?.name]);
  return (
    <Shown loaded={loaded}>
      {(organization) => (
        <>
          <div class="crumb"><span class="grow">Organization</span></div>
          <h1 class="said">{organization.name}</h1>
          <Subnav base={`/organization/${id}`} pages={ORGANIZATION_PAGES} current={page} />
          {organization.is_suspended && <Note tone="warn">This organization is suspended: its keys are refused.</Note>}
          {organization.is_over_monthly_limit && <Note tone="warn">The monthly limit is reached: new events are refused until the next month.</Note>}
          {page === "projects" && <Projects organization={organization} />}
          {page === "people" && <People organization={organization} again={loaded.again} />}
          {page === "usage" && <UsagePanel months={organization.usage} hours={organization.usage_hours} what="organization" limit={organization.max_events_per_month} />}
          {page === "settings" && <section class="panel pad" aria-label="Settings"><h2>Name</h2><Rename name={organization.name} save={(name) => call("PATCH", `/organizations/${id}`, { body: { name } })} done={loaded.again} /><h2>Kept for</h2><p>{plural(organization.retention_days, "day")}, which the server's settings say.</p></section>}
          {!ORGANIZATION_PAGES.some(([one]) => one === page) && <Missing />}
        </>
      )}
    </Shown>
  );
}

function Projects({ organization }: { organization: Organization }) {
  const loaded = useLoad(`projects of ${organization.id}`, (abort) => get<Project[]>(`/organizations/${organization.id}/projects`, { limit: 1000 }, abort));
  return (
    <>
      <section class="panel list" aria-label="Projects">
        <Shown loaded={loaded} rows={3}>
          {(found) => found.length ? (
            <table>
              <caption class="sr">Projects</caption>
              <thead><tr><th scope="col">Project</th><th scope="col" class="n">This month</th><th scope="col" class="n c2">Made</th></tr></thead>
              <tbody>{found.map((project) => <tr key={project.id}><td class="what"><a class="row-link" href={`/project/${project.id}/setup?project=${project.id}`} data-row={project.id}><b class="said">{project.name}</b></a></td><td class="n">{number(project.usage[project.usage.length - 1]?.total ?? 0)}</td><td class="n c2 quiet"><Time at={project.created_utc} /></td></tr>)}</tbody>
            </table>
          ) : <Empty title="No project yet"><p>A project is one program that sends events, with keys of its own. Make the first one below.</p></Empty>}
        </Shown>
      </section>
      <section class="panel pad" aria-label="New project"><h2>New project</h2><NameForm label="Name" button="Create" create={async (name) => { const made = await post<Project>("/projects", { organization_id: organization.id, name }); await reloadProjects(); go(`/project/${made.id}/setup?project=${made.id}`); }} /></section>
    </>
  );
}

function People({ organization, again }: { organization: Organization; again: () => void }) {
  const people = useLoad(`people ${organization.id}`, (abort) => get<Person[]>(`/organizations/${organization.id}/users`, { limit: 100 }, abort));
  const [removing, remove] = useState<string>("");
  const invite = async (value: (name: string) => string, form: HTMLFormElement) => {
    await post(`/organizations/${organization.id}/users/${encodeURIComponent(value("email"))}`);
    say("Done. Copy the link above and send it to them.");
    form.reset();
    people.again();
    again();
  };
  const withdraw = async (email: string) => {
    await attempt(() => call("DELETE", `/organizations/${organization.id}/users/${encodeURIComponent(email)}`), "Done.");
    remove("");
    people.again();
    again();
  };
  return (
    <>
      <section class="panel list" aria-label="People">
        <Shown loaded={people} rows={3}>
          {(found) => (
            <table>
              <caption class="sr">People</caption>
              <thead><tr><th scope="col">Name</th><th scope="col" class="c2">Address</th><th scope="col"><span class="sr">Change</span></th></tr></thead>
              <tbody>{found.map((person) => <tr key={person.id}><td class="said short"><b>{person.full_name}</b>{person.id === me.value?.id && " (you)"} {person.roles.includes("global") && <span class="tag">may manage the server</span>}</td><td class="c2 quiet said short">{person.email_address}</td><td class="n"><Button kind="bare" label={`Remove ${person.full_name}`} disabled={found.length === 1} onClick={() => remove(person.email_address)}>Remove</Button></td></tr>)}</tbody>
            </table>
          )}
        </Shown>
      </section>
      <section class="panel list" aria-label="Invitations">
        <div class="cap"><h2>Invitations</h2><span class="quiet">valid for 30 days; no mail is sent, so pass the link on yourself</span></div>
        {organization.invites.length ? (
          <table>
            <caption class="sr">Invitations</caption>
            <thead><tr><th scope="col">Address</th><th scope="col" class="n c2">Made</th><th scope="col"><span class="sr">Change</span></th></tr></thead>
            <tbody>{organization.invites.map((one) => <tr key={one.token}><td class="said short">{one.email_address}</td><td class="n c2 quiet"><Time at={one.date_added} /></td><td class="n"><CopyButton text={`${location.origin}/signup?token=${one.token}`} what="Invitation link">Copy link</CopyButton> <Button kind="bare" label={`Withdraw the invitation of ${one.email_address}`} onClick={() => withdraw(one.email_address)}>Withdraw</Button></td></tr>)}</tbody>
          </table>
        ) : <Empty title="No open invitations"><p>Invite a colleague below; they sign up with the link that appears here.</p></Empty>}
        <Form class="form inline pad" onSubmit={invite}><label>Address to invite<input class="input" type="email" name="email" required maxLength={320} /></label><Button type="submit">Invite</Button></Form>
      </section>
      {removing && <Dialog title="Remove from the organization?" onClose={() => remove("")}><p><b class="said">{removing}</b> sees nothing of {organization.name} any more. Events stay.</p><div class="row"><Button kind="bad" onClick={() => withdraw(removing)}>Remove</Button><Button onClick={() => remove("")}>Cancel</Button></div></Dialog>}
    </>
  );
}
