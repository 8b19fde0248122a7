// Where nothing has arrived yet: what to paste, with the real key. It turns into the first event by itself.
import { useEffect, useState } from "preact/hooks";
import { get, post, useLoad } from "../api";
import { me, project, projects, reloadProjects } from "../session";
import type { EventSummary, Organization, Project, Token } from "../types";
import { Button, copy, Empty, Form, Mark, Seg, Shown } from "../ui";
import { go, here, query, to } from "../url";
import { own, plural } from "../format";

export function Start() {
  const chosen = project() ?? projects.value[0];
  if (!me.value?.organization_ids.length) return <FirstOrganization />;
  if (!chosen) return <FirstProject />;
  return <Snippets project={chosen} />;
}

export function Snippets({ project: chosen, waits = true }: { project: Project; waits?: boolean }) {
  const token = useLoad(`default token ${chosen.id}`, (abort) => get<Token>(`/projects/${chosen.id}/tokens/default`, undefined, abort));
  const [arrived, setArrived] = useState(false);
  useEffect(() => {
    if (!waits) return;
    let timer = 0;
    let ended = false;
    const look = async () => {
      const found = await get<EventSummary[]>(`/projects/${chosen.id}/events`, { limit: 1, mode: "summary" }).catch(() => []);
      if (ended) return;
      if (found[0]) {
        setArrived(true);
        go(to(`/event/${found[0].id}`, { project: chosen.id }));
      } else timer = window.setTimeout(look, 1000);
    };
    void look();
    return () => { ended = true; clearTimeout(timer); };
  }, [chosen.id, waits]);
  const snippet = own(SNIPPETS, query("in")) ?? SNIPPETS["curl"]!;
  return (
    <div class="narrow">
      {waits && (
        <div class="wait" role="status">
          <Mark />
          <div><h1>{arrived ? "Here it is" : "Waiting for the first event"}</h1><p>Send one to <b>{chosen.name}</b> from below. It opens here by itself; nothing has to be reloaded.</p></div>
        </div>
      )}
      <Shown loaded={token} rows={3}>
        {(found) => (
          <div class="snippet">
            <div class="cap"><Seg label="Language" current={snippet[0]} options={Object.entries(SNIPPETS).map(([id, [name]]) => [name, here({ in: id === "curl" ? null : id })])} /><span class="grow" /><Button icon="copy" keys="c" onClick={() => copy(snippet[2](location.origin, found.id), "Code")}>Copy</Button></div>
            {snippet[1] && <p class="hint pad">{snippet[1]}</p>}
            <pre class="code" tabIndex={0} role="region" aria-label="Code to send a first event">{snippet[2](location.origin, found.id)}</pre>
          </div>
        )}
      </Shown>
      <p class="hint">The key of this project may only send events. It may stand in apps and web pages. <a class="link" href={`/project/${chosen.id}/keys?project=${chosen.id}`}>All keys</a></p>
      {waits && <p class="hint">Just looking? <code>headrace demo</code> sends a day of realistic events.</p>}
    </div>
  );
}

const SNIPPETS: Record<string, [string, string, (url: string, key: string) => string]> = {
  curl: ["curl", "", (url, key) => `curl -i ${url}/api/v2/events \\
  -H 'Authorization: Bearer ${key}' \\
  -H 'Content-Type: application/json' \\
  -d '{"type": "error", "message": "My first error"}'`],
  js: ["JavaScript", "npm install @exceptionless/node, or @exceptionless/browser for a page", (url, key) => `import { Exceptionless } from "@exceptionless/node";

await Exceptionless.startup((config) => {
  config.serverUrl = "${url}";
  config.apiKey = "${key}";
});
await Exceptionless.submitException(new Error("My first error"));
await Exceptionless.processQueue();`],
  net: [".NET", "dotnet add package Exceptionless", (url, key) => `using Exceptionless;

var client = ExceptionlessClient.Default;
client.Configuration.ServerUrl = "${url}";
client.Startup("${key}");
try { throw new InvalidOperationException("My first error"); }
catch (Exception error) { error.ToExceptionless().Submit(); }
await client.ProcessQueueAsync();`],
  py: ["Python", "Nothing to install", (url, key) => `import json, traceback, urllib.request

try:
    raise ValueError("My first error")
except ValueError as error:
    event = {"type": "error", "message": str(error), "data": {"@simple_error": {
        "type": type(error).__name__, "message": str(error), "stack_trace": traceback.format_exc()}}}

urllib.request.urlopen(urllib.request.Request(
    "${url}/api/v2/events", json.dumps(event).encode(),
    {"Authorization": "Bearer ${key}", "Content-Type": "application/json"}))`],
};

function FirstOrganization() {
  return (
    <section class="panel narrow"><Empty page title="You are in no organization yet">
      <p>Make one, or ask somebody for an invitation link to theirs.</p>
      <NameForm label="Name of the organization" button="Create" create={async (name) => { await post<Organization>("/organizations", { name }); location.reload(); }} />
    </Empty></section>
  );
}

function FirstProject() {
  const organization = me.value!.organization_ids[0]!;
  return (
    <section class="panel narrow"><Empty page title="No project yet">
      <p>A project is one program that sends events, with keys of its own.</p>
      <NameForm label="Name of the project" button="Create" create={async (name) => { const made = await post<Project>("/projects", { organization_id: organization, name }); await reloadProjects(); go(`/project/${made.id}/setup?project=${made.id}`); }} />
    </Empty></section>
  );
}

export function NameForm({ label, button, create }: { label: string; button: string; create: (name: string) => Promise<unknown> }) {
  return (
    <Form class="form inline" onSubmit={async (value, form) => { await create(value("name")); form.reset(); }}>
      <label>{label}<input class="input" name="name" required maxLength={255} /></label>
      <Button kind="main" type="submit">{button}</Button>
    </Form>
  );
}

export { plural };
