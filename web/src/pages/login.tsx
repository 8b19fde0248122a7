// Logging in and signing up. Nothing that was typed is lost where it fails; the link of `make up` logs in by itself.
import { useEffect, useState } from "preact/hooks";
import { ApiError, call, generation, loggedOut } from "../api";
import { findMe, me } from "../session";
import { explain, Form, Mark } from "../ui";
import { go, query } from "../url";

const next = (): string => (/^\/(?![/\\])/.test(query("next")) ? query("next") : "/stacks");

export function LoginPage() {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Log in · Headrace";
    const code = location.hash.slice(1);
    if (!/^[a-zA-Z0-9]{40}$/.test(code)) {
      if (me.value) go(next(), { replace: true });
      return;
    }
    // Out of the address and the history before it is used.
    history.replaceState(null, "", location.pathname + location.search);
    setBusy(true);
    call("POST", "/auth/login-code", { query: { useCookies: "true" }, body: { code }, open: true }).then(entered, (error: Error) => {
      setBusy(false);
      if (me.value) go(next(), { replace: true });
      else setProblem(error.message);
    });
  }, []);
  return (
    <main class="gate" id="main">
      <a href="/" aria-label="Headrace, what this is"><Mark /></a>
      <h1>Log in to Headrace</h1>
      <LoginForm first={problem} busy={busy} onEntered={entered} />
      <p class="hint">On {location.host}. No account? Ask a colleague for an invitation link.</p>
    </main>
  );
}

async function entered(): Promise<void> {
  loggedOut.value = false;
  await findMe();
  go(next(), { replace: true });
}

export function LoginForm({ first = "", busy: starting = false, onEntered }: { first?: string; busy?: boolean; onEntered: () => unknown }) {
  const [busy, setBusy] = useState(false);
  return (
    <Form
      class="" problem={first} explained={refusal}
      onSubmit={async (value) => {
        setBusy(true);
        try {
          await call("POST", "/auth/login", { query: { useCookies: "true" }, body: { email: value("email"), password: value("password"), invite_token: query("token") || undefined }, open: true });
          await onEntered();
        } finally {
          setBusy(false);
        }
      }}
    >
      <label>Email<input class="input" type="email" name="email" autocomplete="username" required autofocus /></label>
      <label>Password<input class="input" type="password" name="password" autocomplete="current-password" required minLength={6} maxLength={100} /></label>
      <button class="button main" type="submit" disabled={starting}>{busy || starting ? "Logging in …" : "Log in"}</button>
    </Form>
  );
}

function refusal(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  if (error.status === 0) return "The server does not answer. Try again in a moment.";
  if (error.status === 401 && /denied/.test(error.message)) return "Too many attempts. Even the right password is refused until the next quarter of an hour.";
  if (error.status === 401) return "No account has this address and password.";
  return explain(error);
}

export function SignUpPage() {
  const [busy, setBusy] = useState(false);
  const token = query("token");
  useEffect(() => { document.title = "Sign up · Headrace"; }, []);
  const refused = (error: unknown): string => {
    const status = error instanceof ApiError ? error.status : -1;
    return status === 403 ? "This server takes only people with a valid invitation. Ask for a new link." : status === 401 ? "This address has an account already, with another password." : refusal(error);
  };
  return (
    <main class="gate" id="main">
      <a href="/" aria-label="Headrace, what this is"><Mark /></a>
      <h1>{token ? "You are invited to Headrace" : "Sign up to Headrace"}</h1>
      <Form
        class="" explained={refused}
        onSubmit={async (value) => {
          setBusy(true);
          try {
            await call("POST", "/auth/signup", { query: { useCookies: "true" }, body: { name: value("name"), email: value("email"), password: value("password"), invite_token: token || undefined }, open: true });
            await entered();
          } finally {
            setBusy(false);
          }
        }}
      >
        <label>Name<input class="input" name="name" autocomplete="name" required maxLength={255} autofocus /></label>
        <label>Email<input class="input" type="email" name="email" autocomplete="username" required /></label>
        <label>Password<input class="input" type="password" name="password" autocomplete="new-password" required minLength={6} maxLength={100} /></label>
        <button class="button main" type="submit">{busy ? "Signing up …" : "Sign up"}</button>
      </Form>
      <p class="hint">Have an account? <a class="link" href={`/login${token ? `?token=${encodeURIComponent(token)}` : ""}`}>Log in</a>{token ? " to join with it." : ""}</p>
    </main>
  );
}

// What another person saw does not stay.
async function returned(): Promise<void> {
  const before = me.value?.id;
  await findMe();
  if (me.value?.id !== before) location.reload();
  loggedOut.value = false;
  generation.value++;
}

// The login has ended while a page is open: what stands there, and what was typed, stays.
export function Returning() {
  return (
    <dialog class="sheet" ref={(box) => { if (box && !box.open) box.showModal(); }} aria-label="Log in again" onCancel={(event) => event.preventDefault()}>
      <h2>Your login has ended</h2>
      <p class="hint">Log in again to go on where you were; nothing that you typed is lost.</p>
      <div class="form"><LoginForm onEntered={returned} /></div>
    </dialog>
  );
}
