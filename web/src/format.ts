// Numbers and times as people read them: 24 hours, in the zone of the browser.
import { effect } from "@preact/signals";
import { now, tick } from "./clock";

// A member of ours: what people send may be called `constructor`.
export const own = <T>(table: Record<string, T>, name: string): T | undefined => (Object.hasOwn(table, name) ? table[name] : undefined);

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const dates = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", ...options });
const made = () => ({
  zone: zone(),
  clock: dates({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  minutes: dates({ hour: "2-digit", minute: "2-digit" }),
  day: dates({ weekday: "short", day: "numeric", month: "short" }),
  shortDay: dates({ weekday: "short", day: "numeric" }),
  dated: dates({ day: "numeric", month: "short" }),
  full: dates({ dateStyle: "medium", timeStyle: "medium" }),
});
export const zone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
let formats = made();
// The zone of a device changes where it travels; texts of the old zone would name the new one.
effect(() => { if (tick.value && zone() !== formats.zone) formats = made(); });

export const number = (value: number): string => (Math.abs(value) < 1e6 ? whole.format(value) : compact.format(value));
export const exact = (value: number): string => whole.format(value);
export const plural = (value: number, one: string, many = `${one}s`): string => `${number(value)} ${value === 1 ? one : many}`;
export const clockTime = (date: Date): string => formats.clock.format(date);
export const dayTime = (date: Date): string => `${formats.day.format(date)} ${formats.minutes.format(date)}`;
export const dayName = (date: Date): string => formats.shortDay.format(date);
export const hourName = (date: Date): string => formats.minutes.format(date);
export const localTime = (date: Date): string => (Number.isNaN(date.getTime()) ? "" : `${formats.full.format(date)}, ${zone()}`);
export const dayOnly = (date: Date): string => formats.dated.format(date);

export function ago(date: Date): string {
  const seconds = Math.round((now() - date.getTime()) / 1000);
  if (Number.isNaN(seconds)) return "";
  if (seconds < -60) return `in ${span(-seconds)}`;
  if (seconds < 2) return "now";
  return seconds > 40 * 86400 ? `${formats.dated.format(date)}${seconds > 300 * 86400 ? ` ${date.getFullYear()}` : ""}` : span(seconds);
}

export function span(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export const bytes = (value: number): string => {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value.toFixed(value < 10 && unit ? 1 : 0)} ${units[unit]}`;
};

const BROWSERS: [string, RegExp][] = [["Edge", /Edg\//], ["Opera", /OPR\//], ["Firefox", /Firefox\//], ["Chrome", /Chrom(e|ium)\//], ["Safari", /Safari\//]];
const SYSTEMS: [string, RegExp][] = [["Android", /Android/], ["iOS", /iPhone|iPad/], ["Windows", /Windows/], ["macOS", /Mac OS X/], ["ChromeOS", /CrOS/], ["Linux", /Linux/]];

// What a browser calls itself, in a few words.
export function agentName(agent: string): string {
  const find = (names: [string, RegExp][]) => names.find(([, sign]) => sign.test(agent))?.[0];
  const [browser, system] = [find(BROWSERS), find(SYSTEMS)];
  return browser ? `${browser}${system ? ` on ${system}` : ""}` : agent.slice(0, 60) || "Unknown";
}
