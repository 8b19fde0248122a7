// The shell: who is logged in, the bar at the top, the page of the address, and the keys.
import { render } from "preact";
import type { ComponentChildren, VNode } from "preact";
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, loggedOut } from "./api";
import { wrong } from "./clock";
import { span } from "./format";
import { findMe, isGlobal, me, outage, project, projects } from "./session";
import { Bones, Button, Dialog, Guarded, Mark, Menu, Note, Progress, say, Toasts } from "./ui";
import { go, place, to } from "./url";
import { EventPage, ReferencePage } from "./pages/event";
import { EventsPage, SessionPage, SessionsPage, StreamPage } from "./pages/events";
import { LoginPage, Returning, SignUpPage } from "./pages/login";
import { AccountPage, setThemeNow } from "./pages/account";
import { Missing, OrganizationPage, ProjectPage } from "./pages/manage";
import { StackPage } from "./pages/stack";
import { StacksPage } from "./pages/stacks";
import { Start } from "./pages/start";
import { SystemPage } from "./pages/system";

const PAGES: [RegExp, string, (found: string[]) => VNode][] = [
  [/^\/$/, "Headrace", () => <Home />],
  [/^\/stacks$/, "Stacks", () => <StacksPage />],
  [/^\/stack\/([a-zA-Z0-9]+)$/, "Stacks", (found) => <StackPage id={found[1]!} />],
  [/^\/event\/by-ref\/([a-zA-Z0-9-]+)$/, "Events", (found) => <ReferencePage reference={found[1]!} />],
  [/^\/event\/([a-zA-Z0-9]+)$/, "Events", (found) => <EventPage id={found[1]!} />],
  [/^\/events$/, "Events", () => <EventsPage />],
  [/^\/stream$/, "Stream", () => <StreamPage />],
  [/^\/sessions$/, "Sessions", () => <SessionsPage />],
  [/^\/session\/([a-zA-Z0-9-]+)$/, "Sessions", (found) => <SessionPage id={found[1]!} />],
  [/^\/project\/([a-zA-Z0-9]+)\/([a-z-]+)$/, "Project", (found) => <ProjectPage id={found[1]!} page={found[2]!} />],
  [/^\/organization\/([a-zA-Z0-9]+)\/([a-z-]+)$/, "Organization", (found) => <OrganizationPage id={found[1]!} page={found[2]!} />],
  [/^\/account$/, "Account", () => <AccountPage />],
  [/^\/system$/, "System", () => <SystemPage />],
];

const LINKS: [string, string][] = [["Stacks", "/stacks"], ["Events", "/events"], ["Stream", "/stream"], ["Sessions", "/sessions"]];

// Before anything has arrived the first steps; afterwards what broke.
function Home() {
  useEffect(() => { if (projects.value.length) go("/stacks", { replace: true }); }, []);
  return projects.value.length ? <Bones /> : <Start />;
}

const App = () => <><Progress /><Routed /></>;

function Routed() {
  const path = place.value.pathname;
  useEffect(() => {
    if (me.value !== null || path === "/login" || path === "/signup") return;
    go(`/login${path === "/" || path === "/stacks" ? "" : `?next=${encodeURIComponent(path + place.value.search)}`}`, { replace: true });
  }, [me.value, path]);
  if (path === "/login" && me.value !== undefined) return <LoginPage />;
  if (path === "/signup") return <SignUpPage />;
  if (me.value === undefined) return outage.value ? <Away /> : <main id="main"><Bones /></main>;
  if (me.value === null) return <main id="main"><Bones /></main>;
  for (const [pattern, section, page] of PAGES) {
    const found = pattern.exec(path);
    if (found) return <Shell section={section}>{page(found)}</Shell>;
  }
  return <Shell section=""><Missing /></Shell>;
}

const Away = () => (
  <main class="gate" id="main">
    <Mark />
    <h1>Headrace is unavailable</h1>
    <Note tone="bad">{outage.value}</Note>
    <p class="hint">This page opens by itself as soon as the server is back.</p>
    <p class="hint"><Button onClick={findMe}>Try now</Button></p>
  </main>
);

function Shell({ section, children }: { section: string; children: ComponentChildren }) {
  const name = project()?.name;
  useEffect(() => { if (LINKS.some(([one]) => one === section)) document.title = `${section}${name ? ` · ${name}` : ""} · Headrace`; }, [section, name, place.value.pathname]);
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header class="top">
        <a class="brand" href="/stacks" aria-label="Headrace, home"><Mark /></a>
        <ProjectMenu />
        <nav aria-label="Main">{LINKS.map(([words, path]) => <a key={path} href={to(path)} aria-current={section === words ? "page" : undefined}>{words}</a>)}</nav>
        <span class="grow" />
        <button type="button" class="button bare wide" data-key="?" onClick={() => (keysShown.value = true)}>Keys <kbd aria-hidden="true">?</kbd></button>
        <PersonMenu />
      </header>
      <main id="main" tabIndex={-1}>{wrong.value !== 0 && <Note icon="clock">The clock of this device is {span(Math.abs(wrong.value) / 1000)} {wrong.value > 0 ? "ahead of" : "behind"} that of the server. Ages and charts here count by the server’s.</Note>}<Guarded key={place.value.pathname}>{children}</Guarded></main>
      <Toasts />
      {loggedOut.value && <Returning />}
      {keysShown.value && <KeysSheet />}
      {jumping.value && <Jump />}
    </>
  );
}

function ProjectMenu() {
  const section = /^\/(stacks|events|stream|sessions)$/.exec(place.value.pathname)?.[0] ?? "/stacks";
  const current = project();
  const organizations = new Map<string, typeof projects.value>();
  for (const one of projects.value) organizations.set(one.organization_name, [...(organizations.get(one.organization_name) ?? []), one]);
  return (
    <Menu label={`Project: ${current?.name ?? "all projects"}`} text={<b class="said name">{current?.name ?? "All projects"}</b>}>
      <a class="opt" href={to(section, { project: null })} aria-current={current ? undefined : "true"}>All projects</a>
      {[...organizations].map(([name, found]) => (
        <div key={name}>
          <p class="head said">{name}</p>
          {found.slice(0, 200).map((one) => <a key={one.id} class="opt said" href={to(section, { project: one.id })} aria-current={one.id === current?.id ? "true" : undefined}>{one.name}</a>)}
        </div>
      ))}
      <hr />
      {current && <a class="opt" href={`/project/${current.id}/setup?project=${current.id}`}>Settings of {current.name.slice(0, 40)}</a>}
      {me.value?.organization_ids[0] && <a class="opt" href={`/organization/${current?.organization_id ?? me.value.organization_ids[0]}/projects`}>Projects and people</a>}
    </Menu>
  );
}

function PersonMenu() {
  const person = me.value!;
  const logOut = async () => {
    try {
      await call("GET", "/auth/logout", { open: true });
    } catch (error) {
      say(`Not logged out: ${(error as Error).message}`, { bad: true });
      return;
    }
    me.value = null;
    go("/login", { replace: true });
  };
  const dark = () => setThemeNow(getComputedStyle(document.documentElement).getPropertyValue("--is-dark").trim() === "1" ? "light" : "dark");
  return (
    <Menu label={`Account: ${person.full_name}`} text={<span class="said name">{person.full_name.split(" ")[0]}</span>} end>
      <p class="head said">{person.email_address}</p>
      <a class="opt" href="/account">Account</a>
      {isGlobal() && <a class="opt" href="/system">System</a>}
      <a class="opt" href="/docs">API Documentation</a>
      <button type="button" class="opt" onClick={dark}>Dark or light</button>
      <hr />
      <button type="button" class="opt" onClick={logOut}>Log out</button>
    </Menu>
  );
}

const keysShown = signal(false);
const jumping = signal(false);

const KEYS: [string, string][] = [
  ["Filter", "/"], ["Go to anything", "Ctrl K"], ["Stacks, events", "g s, g e"], ["Stream, sessions", "g t, g n"], ["Next, before", "j k"], ["Open", "o"], ["Up", "u"], ["Select", "x"], ["Mark fixed", "f"], ["Ignore", "i"],
  ["Zoom in, undo", "+ z"], ["Copy stack trace", "c"], ["Copy as Markdown", "m"], ["Older, newer event", "← →"], ["Next, previous page", "n p"], ["Saved views", "v"], ["Pause the stream", "Space"], ["These keys", "?"],
];

const KeysSheet = () => (
  <Dialog title="Keys" onClose={() => (keysShown.value = false)}>
    <dl class="keys-list">{KEYS.map(([name, keys]) => <div key={name}><dt>{name}</dt><dd>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dd></div>)}</dl>
  </Dialog>
);

function Jump() {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const said = String(new FormData(event.currentTarget as HTMLFormElement).get("where")).trim();
    jumping.value = false;
    const named = projects.value.find((one) => one.name.toLowerCase() === said.toLowerCase()) ?? projects.value.find((one) => one.name.toLowerCase().startsWith(said.toLowerCase()));
    if (/^[a-f0-9]{32}$/i.test(said)) void call("GET", `/events/${said}`, { query: {} }).then(() => go(`/event/${said}`), () => go(`/stack/${said}`));
    else if (said && named) go(`/stacks?project=${named.id}`);
    else if (/^[a-zA-Z0-9-]{8,100}$/.test(said)) go(`/event/by-ref/${said}`);
    else if (said) go(to("/events", { filter: said }));
  };
  return (
    <Dialog title="Go to" onClose={() => (jumping.value = false)}>
      <form class="form" onSubmit={submit}>
        <label>Project, id of a stack or event, or reference id<input class="input" name="where" list="projects" autocomplete="off" autofocus /></label>
        <datalist id="projects">{projects.value.slice(0, 200).map((one) => <option key={one.id} value={one.name} />)}</datalist>
        <div class="row"><button class="button main" type="submit">Go</button></div>
      </form>
    </Dialog>
  );
}

let waitingForSecond = 0;

addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && me.value) {
    event.preventDefault();
    jumping.value = true;
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !me.value) return;
  const focus = document.activeElement;
  if (focus?.closest("input:not([type=checkbox]), textarea, select, dialog[open], [contenteditable]")) return;
  const isButton = focus?.matches("button, summary, a");
  if (event.key === "Enter" || (event.key === " " && isButton) || event.key === "Escape") return;
  const key = event.key === " " ? "Space" : event.key;
  const inChart = focus instanceof SVGElement;
  if (inChart && key.startsWith("Arrow")) return;
  if (waitingForSecond && Date.now() - waitingForSecond < 1500) {
    waitingForSecond = 0;
    const path = { s: "/stacks", e: "/events", t: "/stream", n: "/sessions" }[key];
    if (path) {
      event.preventDefault();
      go(to(path));
      return;
    }
  }
  if (key === "g") {
    waitingForSecond = Date.now();
    return;
  }
  if (key === "j" || key === "k") {
    const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
    const current = rows.findIndex((row) => row === focus || row.closest("tr")?.contains(focus));
    const next = rows[Math.min(rows.length - 1, Math.max(0, current + (key === "j" ? 1 : -1)))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
    event.preventDefault();
    return;
  }
  if (key === "o" && focus instanceof HTMLElement && focus.matches("[data-row]")) {
    focus.click();
    return;
  }
  if (key === "x") {
    (focus?.closest("tr")?.querySelector("input[type=checkbox]") as HTMLElement | null)?.click();
    return;
  }
  const target = document.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`);
  if (!target || target.matches(":disabled")) return;
  event.preventDefault();
  if (target instanceof HTMLInputElement) target.select();
  target.focus();
  if (!(target instanceof HTMLInputElement)) target.click();
});

const root = document.createElement("div");
root.id = "app";
document.body.append(root);
render(<App />, root);
void findMe();
