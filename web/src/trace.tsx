// Errors: their causes and frames, the reader's own code first; and the same as text.
import { useState } from "preact/hooks";
import type { Data, Json } from "./types";
import { Icon, Said, Seg, Value } from "./ui";
import { here, query } from "./url";
import { bytes, plural } from "./format";

export interface Frame { scope: string; name: string; args: string; file: string; at: string; own: boolean; package: string; line: string }
export interface Thrown { type: string; message: string; code: string; frames: Frame[]; raw: string; data: Data }

const object = (value: Json | undefined): Data => (value && typeof value === "object" && !Array.isArray(value) ? value : {});
const str = (value: Json | undefined): string => (value == null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

const FOREIGN = /^(System|Microsoft|Newtonsoft|java|javax|jdk|sun|kotlin|scala|org\.springframework|org\.apache|org\.hibernate|com\.sun|io\.netty|reactor|node:|internal|core|std|alloc|tokio|runtime|Illuminate|Symfony|Doctrine|Npgsql|Castle|Autofac|MediatR)(\.|::|\\|\/|$|:)/;
const FOREIGN_FILE = /(node_modules|site-packages|dist-packages|\/lib\/python|\/gems\/|\/vendor\/|node:internal|\/rustc\/|\.cargo\/registry|<frozen |\/usr\/(local\/)?(lib|go)|webpack\/)/;
const MOST_CAUSES = 20;
const read = new WeakMap<Data, Thrown[]>(); // pages are drawn again every minute, and reading a large trace takes a while

// The error and its causes, outermost first; each language's own text is read as far as its lines are known.
export function thrown(data: Data | null | undefined): Thrown[] {
  if (!data) return [];
  const known = read.get(data);
  if (known) return known;
  const found: Thrown[] = [];
  read.set(data, found);
  const detailed = object(data?.["@error"]);
  let current = Object.keys(detailed).length ? detailed : object(data?.["@simple_error"]);
  while (Object.keys(current).length && found.length < MOST_CAUSES) {
    const trace = current["stack_trace"];
    found.push({
      type: str(current["type"]),
      message: str(current["message"]),
      code: str(current["code"]),
      frames: Array.isArray(trace) ? trace.map((frame) => readFrame(object(frame))) : readText(str(trace)),
      raw: typeof trace === "string" ? trace : "",
      data: Object.fromEntries(Object.entries(object(current["data"])).filter(([name]) => !name.startsWith("@"))),
    });
    current = object(current["inner"]);
  }
  return found;
}

function readFrame(frame: Data): Frame {
  const scope = [str(frame["declaring_namespace"]), str(frame["declaring_type"])].filter(Boolean).join(".");
  const parameters = Array.isArray(frame["parameters"]) ? frame["parameters"].map((one) => [str(object(one)["type"]), str(object(one)["name"])].filter(Boolean).join(" ")) : null;
  const file = str(frame["file_name"]);
  const line = str(frame["line_number"]);
  const at = file ? `${file}${line && line !== "0" ? `:${line}` : ""}${frame["column"] && line !== "0" ? `:${str(frame["column"])}` : ""}` : "";
  const name = str(frame["name"]) || "<anonymous>";
  const args = parameters ? `(${parameters.join(", ")})` : "";
  return { scope, name, args, file, at, own: isOwn(scope, file), package: packageOf(scope, file), line: `   at ${scope ? `${scope}.` : ""}${name}${args}${at ? ` in ${at}` : ""}` };
}

const LINES: RegExp[] = [
  /^\s*at (?:async )?(?:(.+?) \()?((?:[a-z-]+:\/\/|node:|\/|\w:[\\/]|\.|webpack|<)?[^()\s]*?:\d+(?::\d+)?)\)?$/, // JavaScript
  /^\s*at ([\w.$<>/`[\],+]+\(.*?\))(?: in (.+?:line \d+))?$/, // .NET
  /^\s*at ([\w.$<>/]+)\(([^)]*)\)$/, // Java
  /^\s*File "(.+?)", line (\d+)(?:, in (.+))?$/, // Python
];

function readText(text: string): Frame[] {
  if (!text) return [];
  const found: Frame[] = [];
  for (const line of text.split("\n").slice(0, 20_000)) {
    const frame = readLine(line);
    if (frame) found.push(frame);
  }
  return found;
}

function readLine(line: string): Frame | null {
  if (line.length > 2000) return null;
  const js = LINES[0]!.exec(line);
  if (js) return split(js[1] ?? "", "", js[2]!, line);
  const net = LINES[1]!.exec(line);
  if (net && (net[2] || net[1]!.includes("."))) {
    const java = LINES[2]!.exec(line);
    if (java && /^[\w$]+\.\w+(:\d+)?$|^Native Method$|^Unknown Source$/.test(java[2]!)) return split(java[1]!, "", java[2]!, line);
    const open = net[1]!.indexOf("(");
    return split(net[1]!.slice(0, open), net[1]!.slice(open), (net[2] ?? "").replace(":line ", ":"), line);
  }
  const python = LINES[3]!.exec(line);
  if (python) return split(python[3] ?? "", "", `${python[1]}:${python[2]}`, line);
  return null;
}

function split(whole: string, args: string, at: string, line: string): Frame {
  const cut = whole.lastIndexOf(".");
  const scope = cut > 0 ? whole.slice(0, cut) : "";
  const file = at.replace(/(:\d+){1,2}$/, "");
  return { scope, name: whole.slice(cut > 0 ? cut + 1 : 0) || "<anonymous>", args, file, at, own: isOwn(scope, file), package: packageOf(scope, file), line };
}

const isOwn = (scope: string, file: string): boolean => !FOREIGN.test(scope) && !FOREIGN_FILE.test(file) && !/^node:/.test(file);

function packageOf(scope: string, file: string): string {
  const installed = /(?:node_modules|site-packages|gems|vendor)\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1];
  return installed ?? (/^node:/.test(file) ? "Node" : scope.split(/[.:\\]+/).slice(0, 2).join("."));
}

export function traceText(errors: Thrown[]): string {
  return errors
    .map((error, index) => {
      const head = `${index ? "Caused by: " : ""}${[error.type, error.message].filter(Boolean).join(": ")}`;
      return [head, error.raw.trim() && error.raw.startsWith(head) ? error.raw.slice(head.length).replace(/^\n/, "") : error.raw || error.frames.map((frame) => frame.line).join("\n")].filter(Boolean).join("\n");
    })
    .join("\n");
}

// A browser lays out some hundred thousand characters at once without a pause.
export const cut = (said: string): string => (said.length > 400_000 ? `${said.slice(0, 400_000)}\n… ${bytes(said.length)} in all; copy or download it to see the rest` : said);

const MOST_FRAMES = 100;

export function Trace({ errors }: { errors: Thrown[] }) {
  const view = query("frames") || "own";
  const count = errors.reduce((sum, error) => sum + error.frames.length, 0);
  const innermost = errors.length - 1;
  return (
    <section class="panel trace" aria-label="Exception">
      <div class="cap">
        <h2>{errors.length > 1 ? `${errors.length} exceptions, ` : ""}{plural(count, "frame")}</h2>
        <span class="grow" />
        <Seg label="Frames" current={{ own: "Yours first", all: "All frames", text: "As text" }[view] ?? ""} options={[["Yours first", here({ frames: null })], ["All frames", here({ frames: "all" })], ["As text", here({ frames: "text" })]]} />
      </div>
      {view === "text" ? (
        <pre class="said code" tabIndex={0} role="region" aria-label="Stack trace">{cut(traceText(errors))}</pre>
      ) : (
        errors.map((error, index) => (
          <div class="thrown" key={index}>
            {index > 0 && <span class="by">caused by</span>}
            <h3><TypeName name={error.type || "Error"} />{error.code && <span class="faint"> {error.code}</span>}</h3>
            {error.message && <p class="said"><Long text={error.message} /></p>}
            <Frames frames={error.frames} folded={view === "own"} mark={index === innermost} raw={error.raw} />
            {Object.keys(error.data).length > 0 && <Tree data={error.data} path="" label={`Data of ${error.type || "the error"}`} />}
          </div>
        ))
      )}
    </section>
  );
}

function TypeName({ name }: { name: string }) {
  const scope = /^.*(\.|\\|::)(?=.)/s.exec(name)?.[0] ?? "";
  return <Value field="error.type" value={name}>{scope && <span class="scope">{scope}</span>}<b>{name.slice(scope.length)}</b></Value>;
}

function Frames({ frames, folded, mark, raw }: { frames: Frame[]; folded: boolean; mark: boolean; raw: string }) {
  const [all, showAll] = useState(false);
  if (!frames.length) return raw ? <pre class="said code" tabIndex={0} role="region" aria-label="Stack trace">{cut(raw)}</pre> : null;
  const shown = all ? frames : frames.slice(0, MOST_FRAMES);
  const own = frames.some((frame) => frame.own);
  const first = mark ? frames.find((frame) => frame.own) : undefined;
  const groups: Frame[][] = [];
  for (const frame of shown) {
    const last = groups[groups.length - 1];
    if (folded && own && last && !frame.own && !last[0]!.own) last.push(frame);
    else groups.push([frame]);
  }
  return (
    <div class="frames">
      {groups.map((group, index) => {
        const one = group[0]!;
        if (!folded || !own || one.own || (group.length === 1 && groups.length < 4)) return group.map((frame) => <Line key={index} frame={frame} first={frame === first} />);
        const packages = [...new Set(group.map((frame) => frame.package).filter(Boolean))];
        return (
          <details key={index}>
            <summary><Icon name="right" /> {plural(group.length, "frame")}{packages.length ? ` of ${packages.slice(0, 2).join(", ")}${packages.length > 2 ? " and others" : ""}` : ""}</summary>
            {group.map((frame, n) => <Line key={n} frame={frame} first={false} />)}
          </details>
        );
      })}
      {shown.length < frames.length && <button type="button" class="button bare" onClick={() => showAll(true)}>Show all {plural(frames.length, "frame")}</button>}
    </div>
  );
}

const Line = ({ frame, first }: { frame: Frame; first: boolean }) => (
  <div class={`frame ${first ? "first" : ""} ${frame.own ? "" : "foreign"}`}>
    <Said>{frame.scope && <span class="scope">{frame.scope}.</span>}<b>{frame.name}</b><span class="args">{frame.args}</span></Said>
    {frame.at && <span class="at said">{frame.at}</span>}
  </div>
);

const MOST_MEMBERS = 100;

// Any JSON as a tree; leaves of `data` are filter links.
export function Tree({ data, path, label }: { data: Data; path: string; label: string }) {
  return (
    <div class="tree" role="group" aria-label={label || "Data"}>
      {label && path === "" && <div class="by">{label}</div>}
      <Members data={data} path={path} depth={0} />
    </div>
  );
}

function Members({ data, path, depth }: { data: Data | Json[]; path: string; depth: number }) {
  const [all, showAll] = useState(false);
  const entries: [string, Json][] = Array.isArray(data) ? data.map((item, index) => [String(index), item]) : Object.entries(data);
  return (
    <>
      {(all ? entries : entries.slice(0, MOST_MEMBERS)).map(([name, item]) => <Member key={name} name={name} item={item} path={path && !Array.isArray(data) ? `${path}.${name}` : path} depth={depth} />)}
      {!all && entries.length > MOST_MEMBERS && <button type="button" class="button bare" onClick={() => showAll(true)}>Show all {entries.length}</button>}
    </>
  );
}

function Member({ name, item, path, depth }: { name: string; item: Json; path: string; depth: number }) {
  const [open, setOpen] = useState(depth < 2);
  if (item !== null && typeof item === "object") {
    const size = Array.isArray(item) ? item.length : Object.keys(item).length;
    return (
      <div class="branch">
        <button type="button" class="fold" aria-expanded={open} onClick={() => setOpen(!open)}><Icon name={open ? "down" : "right"} /> <Said class="name">{name}</Said> <span class="faint">{Array.isArray(item) ? `[${size}]` : size === 0 ? "{}" : plural(size, "member")}</span></button>
        {open && size > 0 && <div class="branches"><Members data={item} path={path} depth={depth + 1} /></div>}
      </div>
    );
  }
  const text = item === null ? "null" : String(item);
  const filters = /^data\.[\w@-]+(\.[\w@-]+)*$/.test(path) && text.length <= 200 && item !== null && text !== "";
  return (
    <div class="leaf"><Said class="name">{name}</Said><span>{filters ? <Value field={path} value={text} /> : <Long text={text} quiet={item === null} />}</span></div>
  );
}

export function Long({ text, quiet = false }: { text: string; quiet?: boolean }) {
  const [all, showAll] = useState(false);
  if (text.length <= 1000 || all) return <span class={`said long ${quiet ? "faint" : ""}`}>{text}</span>;
  return <><span class="said long">{text.slice(0, 1000)}…</span> <button type="button" class="link" onClick={() => showAll(true)}>Show all {text.length.toLocaleString("en")} characters</button></>;
}
