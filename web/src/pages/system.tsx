// The whole server, for people who may manage it.
import { useEffect, useState } from "preact/hooks";
import { get, useLoad } from "../api";
import { isGlobal } from "../session";
import type { Json } from "../types";
import { Button, Empty, Fact, Facts, Form, Icon, Shown } from "../ui";
import { Tree } from "../trace";

export function SystemPage() {
  const health = useLoad("health", async (abort) => {
    const response = await fetch("/health/ready", { signal: abort });
    return (await response.json()) as { status: string; checks: Record<string, string> };
  });
  const about = useLoad("about", (abort) => get<{ informational_version: string; machine_name?: string }>("/about", undefined, abort));
  const [reference, look] = useState("");
  const trace = useLoad(reference ? `trace ${reference}` : null, (abort) => get<Json>("/admin/trace", { reference }, abort));
  useEffect(() => { document.title = "System · Headrace"; }, []);
  if (!isGlobal()) return <section class="panel"><Empty page title="Not for this account"><p>This page shows the whole server; it needs a person who may manage it.</p></Empty></section>;
  return (
    <>
      <h1>System</h1>
      <Shown loaded={health} rows={2}>
        {({ status, checks }) => (
          <section class="panel pad" aria-label="State">
            <p class="verdict"><span class={`status ${status === "ready" ? "fixed" : "regressed"}`}><Icon name={status === "ready" ? "check" : "alert"} /> {status === "ready" ? "Headrace is well" : "Something needs a person"}</span> <span class="quiet">{about.data && `version ${about.data.informational_version}`}</span></p>
            <Facts>{Object.entries(checks).map(([name, said]) => <Fact key={name} name={name}>{said}</Fact>)}</Facts>
          </section>
        )}
      </Shown>
      <section class="panel pad" aria-label="Where is my event?">
        <h2>Where is my event?</h2>
        <Form class="form inline" onSubmit={(value) => look(value("reference"))}><label>Reference id<input class="input" name="reference" required minLength={8} maxLength={100} /></label><Button type="submit">Look</Button></Form>
        {reference && <Shown loaded={trace} rows={2}>{(found) => <Tree data={(typeof found === "object" && found !== null && !Array.isArray(found) ? found : { result: found }) as Record<string, Json>} path="" label="What became of it" />}</Shown>}
      </section>
      <p class="hint">Counters and delays are in <a class="link" href="/metrics">the metrics</a>; commands of operators are in the manual.</p>
    </>
  );
}
