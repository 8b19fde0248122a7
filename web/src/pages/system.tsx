// The whole server, for people who may manage it: is it well, and if not, what is missing.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, useLoad, type Loaded } from "../api";
import { now } from "../clock";
import { bytes, exact, number, plural, span } from "../format";
import { isGlobal } from "../session";
import type { Json, Overview } from "../types";
import { Button, Empty, Fact, Facts, Form, Icon, Note, Shown } from "../ui";
import { Tree } from "../trace";
import { DeadLetters, words } from "./letters";

interface Health { status: string; checks: Record<string, string> }

const AGAIN_MS = 10_000;
const DERIVED = "derived";

export function SystemPage() {
  const health = useLoad("health", async (abort) => (await (await fetch("/health/ready", { signal: abort })).json()) as Health);
  const overview = useLoad(isGlobal() ? "overview" : null, (abort) => get<Overview>("/admin/overview", undefined, abort));
  const about = useLoad("about", (abort) => get<{ informational_version: string }>("/about", undefined, abort));
  const refused = useLoad("refused", async (abort) => refusals(await (await fetch("/metrics", { signal: abort })).text()));
  const [reference, look] = useState("");
  const trace = useLoad(reference ? `trace ${reference}` : null, (abort) => get<Json>("/admin/trace", { reference }, abort));
  const all = useRef<Loaded<unknown>[]>([]);
  all.current = [health, overview, refused];
  useEffect(() => {
    document.title = "System · Headrace";
    // What still waits for its answer is left to wait: asking again would end it, each time.
    const timer = setInterval(() => { if (!document.hidden) for (const one of all.current) if (!one.busy) one.again(); }, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  if (!isGlobal()) return <section class="panel"><Empty page title="Not for this account"><p>This page shows the whole server; it needs a person who may manage it.</p></Empty></section>;
  const troubles = health.data && overview.data ? [...Object.entries(health.data.checks).filter(([, said]) => said !== "ok").map(([name, said]) => `${words(name)}: ${said}`), ...concerns(overview.data)] : [];
  return (
    <>
      <h1>System</h1>
      <div class="stack">
        <section class="panel" aria-label="State">
          <div class="pad">
            {health.data && overview.data && (
              <p class="verdict"><span class={`status ${troubles.length ? "regressed" : "fixed"}`}><Icon name={troubles.length ? "alert" : "check"} /> {troubles.length ? "Something needs a person" : "Headrace is well"}</span> <span class="quiet">{about.data && `version ${about.data.informational_version}`}</span></p>
            )}
            {troubles.map((trouble) => <Note key={trouble} tone="warn">{trouble}</Note>)}
          </div>
          {overview.data && <Figures overview={overview.data} />}
        </section>
        <Shown loaded={overview} rows={6}>{(found) => (
          <div class="stack">
            <section class="panel list" aria-label="Outcomes">
              <div class="cap"><h2>Events accepted in the last 24 hours</h2><span class="quiet">and where they ended</span></div>
              {found.outcomes.length ? (
                <table>
                  <caption class="sr">Outcomes</caption>
                  <thead><tr><th scope="col">Outcome</th><th scope="col">Reason</th><th scope="col" class="n">Events</th></tr></thead>
                  <tbody>{found.outcomes.map((one) => <tr key={one.outcome + one.reason}><td>{words(one.outcome)}</td><td class="quiet wrap">{one.reason === DERIVED ? "Made by the worker, such as sessions" : words(one.reason)}</td><td class="n">{exact(one.events)}</td></tr>)}</tbody>
                </table>
              ) : <p class="pad quiet">None.</p>}
            </section>
            <section class="panel list" aria-label="Refusals">
              <div class="cap"><h2>Posts refused</h2><span class="quiet">by the process that serves this page, since its start</span></div>
              {refused.data?.length ? (
                <table>
                  <caption class="sr">Refusals</caption>
                  <thead><tr><th scope="col">Status</th><th scope="col" class="n">Posts</th></tr></thead>
                  <tbody>{refused.data.map(([status, posts]) => <tr key={status}><td class="wrap">{status} <span class="quiet">{STATUSES[status]}</span></td><td class="n">{exact(posts)}</td></tr>)}</tbody>
                </table>
              ) : <p class="pad quiet">{refused.data === undefined ? "…" : refused.data ? "None: every post was accepted." : "This process takes no posts; look at the metrics of the ingest processes."}</p>}
            </section>
            <DeadLetters overview={found} again={overview.again} />
            <section class="panel pad" aria-label="Storage">
              <h2>Storage</h2>
              <Facts>
                <Fact name="Events">{bytes(found.event_bytes)} in {plural(found.partitions, "daily partition")}</Fact>
                <Fact name="Database">{bytes(found.database_bytes)}</Fact>
                <Fact name="Kept since">{found.kept_since.slice(0, 10)}</Fact>
                <Fact name="Rollups">{found.rollups_behind ? `missing for ${plural(found.rollups_behind, "day")}; counts of these days read the events` : "complete"}</Fact>
                {health.data && <Fact name="Checks"><span title={Object.keys(health.data.checks).map(words).join(", ")}>{`${Object.values(health.data.checks).filter((said) => said === "ok").length} of ${Object.keys(health.data.checks).length} are ok`}</span></Fact>}
              </Facts>
            </section>
          </div>
        )}</Shown>
        <section class="panel pad" aria-label="Where is my event?">
          <h2>Where is my event?</h2>
          <Form class="form inline" onSubmit={(value) => look(value("reference"))}><label>Reference id<input class="input" name="reference" required maxLength={1000} /></label><Button type="submit">Look</Button></Form>
          {reference && <Shown loaded={trace} rows={2}>{(found) => <Tree data={(typeof found === "object" && found !== null && !Array.isArray(found) ? found : { result: found }) as Record<string, Json>} path="" label="What is known of it" />}</Shown>}
        </section>
        <p class="hint">All counters and delays are in <a class="link" href="/metrics">the metrics</a>.</p>
      </div>
    </>
  );
}

function Figures({ overview: { queue, outcomes, dead_letters, held_posts } }: { overview: Overview }) {
  const accepted = outcomes.reduce((sum, one) => sum + (one.reason === DERIVED ? 0 : one.events), 0);
  const age = queue.oldest_utc ? Math.max(0, (now() - Date.parse(queue.oldest_utc)) / 1000) : 0;
  return (
    <div class="four">
      <div><span class="name">Accepted, 24 hours</span><span class="num" title={exact(accepted)}>{number(accepted)}</span></div>
      <div><span class="name">In the queue</span><span class="num">{queue.entries == null ? "?" : number(queue.entries)}</span>{queue.entries ? <span class="delta">oldest {span(age)}</span> : null}</div>
      <div><span class="name">Workers</span><span class="num">{queue.workers ?? "?"}</span></div>
      <div><span class="name">Dead letters</span><span class="num">{number(dead_letters.reduce((sum, one) => sum + one.letters, 0))}</span>{held_posts > 0 && <span class="delta">{plural(held_posts, "post")} held</span>}</div>
    </div>
  );
}

const LATE_SECONDS = 60;
const FULL = 0.8;

function concerns({ queue, held_posts, dead_letters_fullness: fullness }: Overview): string[] {
  const age = queue.oldest_utc ? (now() - Date.parse(queue.oldest_utc)) / 1000 : 0;
  const found: string[] = [];
  if (queue.problem) found.push(queue.problem);
  if (queue.workers === 0) found.push("No worker reads the queue: what is accepted waits there.");
  else if (age > LATE_SECONDS) found.push(`The oldest entry has been in the queue for ${span(age)}: the workers are behind.`);
  if (fullness >= FULL) found.push(`The dead letters of a project have used ${Math.floor(fullness * 100)} % of their room: then the oldest lose their bytes. Replay or discard some.`);
  if (held_posts) found.push(`${plural(held_posts, "post")} cannot be stored now and will be tried again.`);
  return found;
}

const STATUSES: Record<string, string> = { 400: "malformed", 401: "no valid key", 402: "over the monthly limit", 403: "not allowed", 404: "unknown project or path", 411: "no length", 413: "too large", 415: "unknown encoding or type", 422: "not as strict mode asks", 429: "too many requests", 503: "queue, disk or token state on our side" };

// Posts refused by status, in the text of Prometheus; null where this process accepts no posts.
function refusals(metrics: string): [string, number][] | null {
  if (!/^headrace_posts_accepted_total/m.test(metrics)) return null;
  const posts = new Map<string, number>();
  // Several processes behind a port have a line each.
  for (const [, labels, value] of metrics.matchAll(/^headrace_posts_refused_total\{([^}]*)\} (\S+)$/gm)) {
    const status = /\bstatus="([^"]*)"/.exec(labels!)?.[1] ?? "";
    posts.set(status, (posts.get(status) ?? 0) + Number(value));
  }
  return [...posts].filter(([, number]) => number > 0).sort((a, b) => b[1] - a[1]);
}
