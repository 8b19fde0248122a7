// The address is the only state of a page: going somewhere changes it, and pages are drawn from it.
import { signal } from "@preact/signals";

export const place = signal(new URL(location.href));

export function go(href: string, { replace = false } = {}): void {
  const url = new URL(href, location.href);
  if (url.href !== location.href) history[replace ? "replaceState" : "pushState"](null, "", url);
  const moved = url.pathname !== place.value.pathname;
  place.value = url;
  if (moved && !replace) scrollTo(0, 0);
}

addEventListener("popstate", () => {
  place.value = new URL(location.href);
});

document.addEventListener("click", (event) => {
  const link = (event.target as Element).closest?.("a[href]");
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || /^\/(docs|api|health|metrics)/.test(url.pathname)) return;
  if (url.hash && url.pathname === location.pathname && url.search === location.search) return;
  event.preventDefault();
  go(url.href);
});

type Changes = Record<string, string | null | undefined>;

export const query = (name: string): string => place.value.searchParams.get(name) ?? "";

// The same page with other parameters; a list begins at its start again.
export function here(changes: Changes): string {
  const url = new URL(place.value);
  for (const name of ["before", "after", "page"]) if (!(name in changes)) url.searchParams.delete(name);
  return change(url, changes);
}

// Another page, of the same project and time.
export function to(path: string, changes: Changes = {}): string {
  const url = new URL(path, location.origin);
  for (const name of ["project", "time"]) if (query(name)) url.searchParams.set(name, query(name));
  return change(url, changes);
}

function change(url: URL, changes: Changes): string {
  for (const [name, value] of Object.entries(changes)) {
    if (value == null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return url.pathname + url.search;
}
