// What could not be stored, for people who may manage the server: why, how large, and what may be done with it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { call, linked, useLoad } from "../api";
import { bytes, exact, localTime, plural } from "../format";
import type { Letter, Letters, Overview, ShownLetter } from "../types";
import { attempt, Button, Dialog, Empty, Fact, Facts, Note, Pager, Said, say, Shown, Time } from "../ui";
import { go, here, query } from "../url";

export const words = (name: string): string => (name.charAt(0).toUpperCase() + name.slice(1)).replace(/_/g, " ");

const ROUTE = "/admin/dead-letters";
const AT_ONCE = 50;

type Which = Record<string, string>;
interface Question { action: "replay" | "discard"; which: Which; count: Letters }

export function DeadLetters({ overview, again }: { overview: Overview; again: () => void }) {
  const [question, ask] = useState<Question | null>(null);
  const reason = query("reason");
  const count = async (action: Question["action"], which: Which) => {
    const answer = await attemptTo(() => change(action, which, { count_only: "true" }));
    if (answer) ask({ action, which, count: answer });
  };
  const done = () => { ask(null); again(); };
  const buttons = (which: Which, what: string) => (
    <span class="row end">
      <Button onClick={() => count("replay", which)} label={`Replay ${what}`}>Replay …</Button>
      <Button kind="bad" onClick={() => count("discard", which)} label={`Discard ${what}`}>Discard …</Button>
    </span>
  );
  const letters = overview.dead_letters;
  return (
    <>
      <section class="panel list" aria-label="Dead letters">
        <div class="cap"><h2>Dead letters</h2><span class="quiet wide">kept with their bytes, because they cannot be stored as they are</span><span class="grow" />{letters.length > 1 && buttons({}, "all")}</div>
        {overview.replays > 0 && <p class="pad quiet">{plural(overview.replays, "replayed post")} waiting for a worker.</p>}
        {letters.length ? (
          <table>
            <caption class="sr">Dead letters by reason</caption>
            <thead><tr><th scope="col">Reason</th><th scope="col" class="n">Letters</th><th scope="col" class="n c2">Size</th><th scope="col" class="c2"><span class="sr">Change</span></th></tr></thead>
            <tbody>{letters.map((one) => (
              <tr key={one.reason} class={reason === one.reason ? "chosen" : undefined}>
                <td class="wrap"><a class="value" href={here({ reason: reason === one.reason ? null : one.reason })} aria-expanded={reason === one.reason}>{words(one.reason)}</a></td><td class="n">{exact(one.letters)}</td><td class="n c2">{bytes(one.bytes)}</td>
                <td class="n c2">{buttons({ reason: one.reason }, words(one.reason).toLowerCase())}</td>
              </tr>
            ))}</tbody>
          </table>
        ) : <p class="pad quiet">None: everything that was accepted could be stored.</p>}
      </section>
      {reason && <Listed key={reason} reason={reason} buttons={buttons({ reason }, `all that are ${words(reason).toLowerCase()}`)} letters={letters.find((one) => one.reason === reason)?.letters ?? 0} />}
      {query("letter") && <Opened id={query("letter")} count={count} />}
      {question && <Confirm question={question} onClose={() => ask(null)} done={done} />}
    </>
  );
}

// Loaded again when their number has changed.
function Listed({ reason, letters: number, buttons }: { reason: string; letters: number; buttons: ComponentChildren }) {
  const found = useLoad(JSON.stringify([reason, query("before"), number]), async (abort) => {
    const answer = await call<Letter[]>("GET", ROUTE, { query: { reason, limit: AT_ONCE, before: query("before") }, signal: abort });
    return { letters: answer.data, older: linked(answer.headers, "next")?.searchParams.get("before") ?? null };
  });
  return (
    <section class="panel list" aria-label={`Dead letters: ${words(reason)}`}>
      <div class="cap"><h2>{words(reason)}</h2><span class="quiet wide">the last accepted first</span><span class="grow" />{buttons}<a class="button" href={here({ reason: null })}>Close</a></div>
      <Shown loaded={found} rows={4}>{({ letters, older }) => letters.length ? (
        <>
          <table>
            <caption class="sr">Dead letters, the last accepted first</caption>
            <thead><tr><th scope="col">Why</th><th scope="col" class="c3">Project</th><th scope="col" class="n c2">Size</th><th scope="col" class="n c2">Accepted</th></tr></thead>
            <tbody>{letters.map((letter) => (
              <tr key={letter.id}>
                <td class="what"><a class="row-link" href={here({ letter: letter.id, before: query("before") || null })} data-row={letter.id}><Said class="message">{letter.detail}</Said></a></td>
                <td class="c3 quiet short"><Said>{letter.project_name ?? letter.project_id ?? "unknown"}</Said></td>
                <td class="n c2">{letter.bytes ? bytes(letter.bytes) : <span class="faint">removed</span>}</td>
                <td class="n c2 quiet"><Time at={letter.accepted_utc} /></td>
              </tr>
            ))}</tbody>
          </table>
          <Pager newer={query("before") ? here({ before: null }) : null} older={older && here({ before: older })} />
        </>
      ) : <Empty title="None left"><p>The others were replayed or discarded.</p></Empty>}</Shown>
    </section>
  );
}

function Opened({ id, count }: { id: string; count: (action: Question["action"], which: Which) => void }) {
  const loaded = useLoad(`letter ${id}`, async (abort) => (await call<ShownLetter>("GET", `${ROUTE}/${encodeURIComponent(id)}`, { signal: abort })).data);
  const close = () => go(here({ letter: null, before: query("before") || null }));
  return (
    <Dialog title="Dead letter" onClose={close}>
      <Shown loaded={loaded} rows={4}>{(letter) => (
        <>
          <p class="said whole">{letter.detail}</p>
          <Facts>
            <Fact name="Reason">{words(letter.reason)}</Fact>
            <Fact name="Project"><Said>{letter.project_name ?? letter.project_id ?? "unknown"}</Said></Fact>
            <Fact name="Accepted">{localTime(new Date(letter.accepted_utc))}</Fact>
            <Fact name="Size">{letter.bytes ? bytes(letter.bytes) : `${bytes(letter.removed_bytes)} were removed, because there was no room`}</Fact>
            {letter.content.user_agent && <Fact name="Sent by"><Said>{letter.content.user_agent}</Said></Fact>}
            {(letter.content.content_type || letter.content.content_encoding) && <Fact name="Content"><Said>{[letter.content.content_type, letter.content.content_encoding].filter(Boolean).join(", ")}</Said></Fact>}
          </Facts>
          {letter.content.text && <pre class="said code low" tabIndex={0} role="region" aria-label="Content">{letter.content.text}{letter.content.is_cut && "\n…"}</pre>}
          <div class="row">
            <Button kind="main" disabled={!letter.can_be_replayed} onClick={() => { close(); count("replay", { ids: id }); }}>Replay …</Button>
            <Button kind="bad" onClick={() => { close(); count("discard", { ids: id }); }}>Discard …</Button>
          </div>
        </>
      )}</Shown>
    </Dialog>
  );
}

function Confirm({ question: { action, which, count }, onClose, done }: { question: Question; onClose: () => void; done: () => void }) {
  const [finished, setFinished] = useState(-1);
  const total = action === "replay" ? count.left : count.letters;
  const stays = action === "replay" ? count.cannot_be_replayed : 0;
  // One request takes a few thousand; what they have done stays done if one of them fails.
  const run = async () => {
    let sum = 0;
    const isDone = await attempt(async () => {
      for (let left = total; left > 0;) {
        setFinished(sum);
        const answer = await change(action, which);
        sum += answer.done;
        left = answer.done ? answer.left : 0;
      }
    }, "");
    if (isDone) say(action === "replay" ? `${plural(sum, "dead letter")} replayed; a worker stores them now.` : `${plural(sum, "dead letter")} discarded.`);
    done();
  };
  return (
    <Dialog title={`${action === "replay" ? "Replay" : "Discard"} ${plural(total, "dead letter")}?`} onClose={onClose}>
      <p>{action === "replay" ? "A worker treats them as new posts, with their time of acceptance. What still cannot be stored becomes a dead letter again." : `${count.bytes ? `Their ${bytes(count.bytes)} are` : "They are"} deleted for good. This cannot be undone.`}</p>
      {stays > 0 && <Note icon="lost">{plural(stays, "other")} cannot be replayed, because their bytes were removed or do not tell what they were.</Note>}
      {finished >= 0 && <p class="quiet" role="status">{exact(finished)} of {exact(total)} done</p>}
      <div class="row"><Button kind={action === "replay" ? "main" : "bad"} onClick={run} disabled={!total}>{action === "replay" ? `Replay ${exact(total)}` : `Discard ${exact(total)} for good`}</Button><Button onClick={onClose}>Cancel</Button></div>
    </Dialog>
  );
}

async function change(action: Question["action"], which: Which, more: Which = {}): Promise<Letters> {
  const all: Which = action === "discard" && !Object.keys(which).length ? { all: "true" } : {};
  return (await call<Letters>(action === "replay" ? "POST" : "DELETE", action === "replay" ? `${ROUTE}/replay` : ROUTE, { query: { ...which, ...all, ...more } })).data;
}

async function attemptTo<T>(action: () => Promise<T>): Promise<T | undefined> {
  let found: T | undefined;
  await attempt(async () => { found = await action(); }, "");
  return found;
}
