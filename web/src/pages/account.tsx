// The person: name, theme, password, where they are logged in, and their organizations.
import { useEffect, useState } from "preact/hooks";
import { call, get, post, useLoad } from "../api";
import { agentName } from "../format";
import { findMe, me } from "../session";
import type { Login, Organization } from "../types";
import { attempt, Button, Fact, Facts, Form, say, Shown, Time } from "../ui";
import { go } from "../url";
import { NameForm } from "./start";

export function AccountPage() {
  const person = me.value!;
  const [theme, setTheme] = useState(localStorage.getItem("theme") ?? "device");
  useEffect(() => { document.title = "Account · Headrace"; }, []);
  const choose = (name: string) => {
    setTheme(name);
    setThemeNow(name);
  };
  const change = async (value: (name: string) => string, form: HTMLFormElement) => {
    await call("POST", "/auth/change-password", { query: { useCookies: "true" }, body: { current_password: value("current"), password: value("new") } });
    form.reset();
    say("The password is changed. All your other logins and keys have ended.");
  };
  return (
    <>
      <h1>Account</h1>
      <section class="panel pad" aria-label="You">
        <h2>You</h2>
        <Facts><Fact name="Address">{person.email_address}</Fact><Fact name="May">{person.roles.includes("global") ? "manage the whole server" : "use and manage their organizations"}</Fact></Facts>
        <Form class="form inline" onSubmit={async (value) => { await call("PATCH", `/users/${person.id}`, { body: { full_name: value("name") } }); say("Saved."); void findMe(); }}>
          <label>Name<input class="input" name="name" defaultValue={person.full_name} required maxLength={255} autocomplete="name" /></label><Button type="submit">Save</Button>
        </Form>
      </section>
      <section class="panel pad" aria-label="Theme"><h2>Theme</h2>
        <div class="seg" role="group" aria-label="Theme">{[["device", "As the device"], ["light", "Light"], ["dark", "Dark"]].map(([name, words]) => <button key={name} type="button" aria-pressed={theme === name} onClick={() => choose(name!)}>{words}</button>)}</div>
      </section>
      <section class="panel pad" aria-label="Password"><h2>Password</h2>
        <p class="quiet">A new password ends all your other logins and revokes your own keys.</p>
        <Form onSubmit={change}>
          <input class="sr" tabIndex={-1} aria-hidden="true" autocomplete="username" value={person.email_address} readOnly />
          <label>Current password<input class="input" type="password" name="current" autocomplete="current-password" required minLength={6} maxLength={100} /></label>
          <label>New password<input class="input" type="password" name="new" autocomplete="new-password" required minLength={6} maxLength={100} /></label>
          <Button type="submit">Change password</Button>
        </Form>
      </section>
      <Logins />
      <section class="panel pad" aria-label="Organizations"><h2>Organizations</h2><MyOrganizations /></section>
    </>
  );
}

export function setThemeNow(name: string): void {
  if (name === "device") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset["theme"];
  } else {
    localStorage.setItem("theme", name);
    document.documentElement.dataset["theme"] = name;
  }
}

function MyOrganizations() {
  const loaded = useLoad("organizations", (abort) => get<Organization[]>("/organizations", undefined, abort));
  return (
    <>
      <Shown loaded={loaded} rows={2}>{(found) => (found.length ? <ul class="links">{found.map((one) => <li key={one.id}><a class="link said" href={`/organization/${one.id}/projects`}>{one.name}</a></li>)}</ul> : <p class="faint">You are in none.</p>)}</Shown>
      <NameForm label="New organization" button="Create" create={async (name) => { const made = await post<Organization>("/organizations", { name }); await findMe(); go(`/organization/${made.id}/projects`); }} />
    </>
  );
}

function Logins() {
  const [all, showAll] = useState(false);
  const loaded = useLoad("logins", (abort) => get<Login[]>("/users/me/logins", undefined, abort));
  const end = async () => {
    await attempt(() => call("DELETE", "/users/me/logins"), "You are logged out everywhere else.");
    loaded.again();
  };
  const endOne = async (login: Login) => {
    await attempt(() => call("DELETE", `/users/me/logins/${login.id}`), `${agentName(login.user_agent ?? "")} is logged out.`);
    loaded.again();
  };
  return (
    <section class="panel list" aria-label="Logins">
      <div class="cap"><h2>Where you are logged in</h2><span class="grow" /><Button onClick={end} disabled={!loaded.data || loaded.data.length < 2}>Log out everywhere else</Button></div>
      <Shown loaded={loaded} rows={2}>
        {(found) => (<>
          <table>
            <caption class="sr">Your logins, newest first</caption>
            <thead><tr><th scope="col">Browser or program</th><th scope="col" class="n">Since</th><th scope="col" class="n c2">Ends</th><th scope="col"><span class="sr">Change</span></th></tr></thead>
            <tbody>{found.slice(0, all ? found.length : 8).map((login) => (
              <tr key={login.id}>
                <td class="wrap said"><span title={login.user_agent ?? undefined}>{agentName(login.user_agent ?? "")}</span> {login.is_current && <span class="tag">this one</span>}</td>
                <td class="n quiet"><Time at={login.created_utc} /></td>
                <td class="n c2 quiet">{login.expires_utc && <Time at={login.expires_utc} />}</td>
                <td class="n">{!login.is_current && <Button label={`Log out ${agentName(login.user_agent ?? "")}`} onClick={() => endOne(login)}>Log out</Button>}</td>
              </tr>
            ))}</tbody>
          </table>
          {!all && found.length > 8 && <Button kind="bare" onClick={() => showAll(true)}>Show all {found.length}</Button>}
        </>)}
      </Shown>
    </section>
  );
}
