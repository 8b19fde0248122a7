// Saved views: a name for a filter, a time and an order. The browser keeps them, by organization.
import { useState } from "preact/hooks";
import { keep, kept } from "./kept";
import { me, project } from "./session";
import { Button, Dialog, Form, Icon, Menu, say } from "./ui";
import { place, query, to } from "./url";

interface View { name: string; page: string; query: Record<string, string> }

const PAGES: Record<string, string> = { "/stacks": "Stacks", "/events": "Events", "/stream": "Stream", "/sessions": "Sessions" };
const MEMBERS = ["filter", "time", "mode", "kind"];
const MOST = 50;

const isViews = (value: unknown): value is View[] => Array.isArray(value) && value.every((one) => one && typeof one.name === "string" && typeof one.page === "string" && Object.hasOwn(PAGES, one.page) && one.query && typeof one.query === "object");
const storageKey = (): string => `views ${project()?.organization_id ?? me.value?.organization_ids[0] ?? ""}`;

// Of the project that is chosen now: a view says what to look for, not where.
const address = (view: View): string => to(view.page, Object.fromEntries(MEMBERS.map((name) => [name, typeof view.query[name] === "string" ? view.query[name] : null])));

export function ViewsMenu() {
  const [saving, save] = useState(false);
  const page = place.value.pathname;
  if (!Object.hasOwn(PAGES, page)) return null;
  const key = storageKey();
  const views = kept<View[]>(key, [], isViews).value;
  const current: Record<string, string> = {};
  for (const name of MEMBERS) if (place.value.searchParams.has(name)) current[name] = query(name);
  const isCurrent = (view: View) => view.page === page && MEMBERS.every((name) => view.query[name] === current[name]);
  const remove = (view: View) => {
    keep(key, views.filter((one) => one !== view));
    say(`The view ${view.name} is removed.`, { undo: () => keep(key, [...kept<View[]>(key, [], isViews).value.filter((one) => one.name !== view.name), view].sort((a, b) => a.name.localeCompare(b.name))) });
  };
  const add = (name: string) => {
    if (views.length >= MOST && !views.some((one) => one.name === name)) throw new Error(`The browser keeps ${MOST} views at most; remove one first.`);
    keep(key, [...views.filter((one) => one.name !== name), { name, page, query: current }].sort((a, b) => a.name.localeCompare(b.name)));
    say(`The view ${name} is saved in this browser.`);
    save(false);
  };
  return (
    <div class="when">
      <Menu label="Saved views" text={<span class="long">Views</span>} end icon="star" keys="v">
        <p class="head">{views.length ? "Saved in this browser" : "A view keeps the filter, the time and the order under a name."}</p>
        {views.map((view) => (
          <div key={view.name} class="opt-row">
            <a class="opt" href={address(view)} aria-current={isCurrent(view) ? "true" : undefined}><span class="said">{view.name}</span> <span class="n">{PAGES[view.page]}</span></a>
            <Button kind="bare" icon="cross" label={`Remove the view ${view.name}`} onClick={() => remove(view)}>{null}</Button>
          </div>
        ))}
        <hr />
        <button type="button" class="opt" onClick={() => save(true)}><Icon name="plus" /> Save this view …</button>
      </Menu>
      {saving && (
        <Dialog title="Save this view" onClose={() => save(false)}>
          <Form onSubmit={(value) => add(value("name").trim())} explained={(error) => (error as Error).message}>
            <label>Name<input class="input" name="name" required pattern=".*\S.*" maxLength={60} autocomplete="off" autofocus list="view-names" /></label>
            <datalist id="view-names">{views.map((view) => <option key={view.name} value={view.name} />)}</datalist>
            <p class="hint">A name that exists is replaced. It is kept in this browser, and works with every project.</p>
            <div class="row"><Button kind="main" type="submit">Save</Button><Button onClick={() => save(false)}>Cancel</Button></div>
          </Form>
        </Dialog>
      )}
    </div>
  );
}
