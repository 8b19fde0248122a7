// Who is logged in, and which projects they see.
import { signal } from "@preact/signals";
import { ApiError, call, get } from "./api";
import type { Me, Project } from "./types";
import { query } from "./url";

export const me = signal<Me | null | undefined>(undefined);
export const projects = signal<Project[]>([]);
export const outage = signal<string>("");

let timer = 0;

export async function findMe(): Promise<void> {
  clearTimeout(timer);
  try {
    const [person, found] = await Promise.all([call<Me>("GET", "/users/me", { open: true }), call<Project[]>("GET", "/projects", { query: { limit: 1000 }, open: true })]);
    projects.value = found.data;
    me.value = person.data;
    outage.value = "";
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 404)) {
      me.value = null;
      return;
    }
    outage.value = (error as Error).message;
    timer = window.setTimeout(findMe, 3000);
  }
}

// An old list is better than none: a failure is not shown.
export async function reloadProjects(): Promise<void> {
  projects.value = await get<Project[]>("/projects", { limit: 1000 }).catch(() => projects.value);
}

export const project = (): Project | undefined => projects.value.find((one) => one.id === query("project"));
export const isGlobal = (): boolean => me.value?.roles.includes("global") ?? false;

// The part of a route that limits it to the chosen project.
export const scope = (): string => (/^[a-z0-9]{24,36}$/i.test(query("project")) ? `/projects/${query("project")}` : "");
