// Charts as SVG in percents, which stretch without script. A range is chosen by dragging, or with the arrow keys.
import { useRef, useState } from "preact/hooks";
import { dayName, dayOnly, dayTime, exact, hourName, plural, span } from "./format";
import type { Loaded } from "./api";
import { go, here } from "./url";
import { Button } from "./ui";
import type { Bucket, Count } from "./types";

const DAY = 86_400_000;

export interface Bar { at: number; total: number }
export interface Span { from: number; until: number }

// The bucket length with which a range has at most some hundred bars.
export function interval(range: Span): { text: string; ms: number } {
  const steps: [string, number][] = [["1s", 1], ["10s", 10], ["30s", 30], ["1m", 60], ["5m", 300], ["15m", 900], ["30m", 1800], ["1h", 3600], ["2h", 7200], ["6h", 21600], ["12h", 43200], ["1d", 86400], ["7d", 604800], ["30d", 2592000]];
  const seconds = (range.until - range.from) / 1000;
  const [text, length] = steps.find(([, step]) => seconds / step <= 100) ?? steps[steps.length - 1]!;
  return { text, ms: length * 1000 };
}

// Every bar of the range, also those without events.
export function bars(items: Bucket[] | undefined, range: Span, step: number): Bar[] {
  const totals = new Map((items ?? []).map((item) => [Number(item.key), sum(item)]));
  const first = Math.floor(range.from / step) * step;
  const anchor = items?.[0] ? Number(items[0].key) % step : 0;
  const found: Bar[] = [];
  for (let at = first + anchor - (first + anchor > range.from ? step : 0); at < range.until && found.length < 400; at += step) found.push({ at, total: totals.get(at) ?? 0 });
  return found;
}

const sum = (item: Bucket): number => Number(item.aggregations["sum_count"]?.value ?? item.total);

const percent = (value: number): string => `${value.toFixed(3)}%`;

export function Spark({ data, hot = false, label }: { data: Bar[]; hot?: boolean; label: string }) {
  const top = Math.max(1, ...data.map((bar) => bar.total));
  return (
    <svg class={`spark ${hot ? "hot" : ""}`} role="img" aria-label={label} preserveAspectRatio="none">
      {data.map((bar, index) => {
        const height = bar.total ? Math.max(8, (bar.total / top) * 100) : 4;
        return <rect key={bar.at} class={bar.total ? undefined : "zero"} x={percent((index / data.length) * 100)} width={percent(75 / data.length)} y={percent(100 - height)} height={percent(height)} />;
      })}
    </svg>
  );
}

export interface Mark { at: number; text: string }

// Versions that were first seen within the range, but not in its first bars, which says nothing.
export function deployments(items: Bucket[] | undefined, data: Bar[], step: number): Mark[] {
  const first = data.find((bar) => bar.total > 0)?.at ?? 0;
  return (items ?? [])
    .map((item) => ({ at: Date.parse(String(item.aggregations["min_date"]?.value ?? "")), text: item.key_as_string.slice(0, 20) }))
    .filter((mark) => mark.at > first + 2 * step && mark.at < (data[data.length - 1]?.at ?? 0) + step)
    .sort((a, b) => a.at - b.at)
    .slice(-3);
}

export function Chart({ data, step, unit = "event", short = false, marks = [], counted }: { data: Bar[]; step: number; unit?: string; short?: boolean; marks?: Mark[]; counted: Loaded<Count> }) {
  const [chosen, choose] = useState<[number, number] | null>(null);
  const area = useRef<SVGSVGElement>(null);
  const anchor = useRef(0);
  const top = niceTop(Math.max(1, ...data.map((bar) => bar.total)));
  const total = data.reduce((all, bar) => all + bar.total, 0);
  const peak = data.reduce((best, bar) => (bar.total > best.total ? bar : best), data[0] ?? { at: 0, total: 0 });
  const [low, high] = chosen ? [Math.min(...chosen), Math.max(...chosen)] : [0, 0];
  const inside = chosen ? data.slice(low, high + 1).reduce((all, bar) => all + bar.total, 0) : 0;
  const from = data[low]?.at ?? 0;
  const until = (data[high]?.at ?? 0) + step;

  const index = (event: PointerEvent): number => {
    const box = area.current!.getBoundingClientRect();
    return Math.min(data.length - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * data.length)));
  };
  const zoom = () => {
    if (!chosen) return;
    go(here({ time: `${new Date(from).toISOString().slice(0, 19)}Z-${new Date(until).toISOString().slice(0, 19)}Z` }));
    choose(null);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const move = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (move) {
      const [begin, end] = chosen ?? [data.length - 1, data.length - 1];
      const next = Math.min(data.length - 1, Math.max(0, end + (chosen ? move : 0)));
      choose(event.shiftKey ? [begin, next] : [next, next]);
      event.preventDefault();
    } else if (event.key === "Escape" && chosen) choose(null);
    else if (event.key === "Enter" && chosen) zoom();
    else return;
    event.stopPropagation();
  };
  const ticks = labels(data, step);
  return (
    <figure class={`chart ${short ? "low" : ""}`}>
      <figcaption>
        {chosen ? (
          <>
            <b>{dayTime(new Date(from))} to {dayTime(new Date(until))}</b>
            <span>{span((until - from) / 1000)}, {plural(inside, unit)}</span>
            <span class="grow" />
            <Button onClick={zoom} keys="+">Zoom in</Button>
            <Button kind="bare" onClick={() => choose(null)}>Clear</Button>
          </>
        ) : (
          <>
            <span>{counted.data ? `${counted.data.is_estimated ? "about " : ""}${plural(total, unit)} by ${span(step / 1000)}` : counted.error ? "Not counted" : "Counting …"}</span>
            <span class="grow" />
            <span class="hint wide">Drag to choose a time</span>
          </>
        )}
      </figcaption>
      <svg
        ref={area}
        tabIndex={0}
        role="img"
        aria-label={!counted.data ? "Nothing is counted yet" : `${exact(total)} ${unit}s; most, ${exact(peak.total)}, from ${dayTime(new Date(peak.at))}. Arrow keys choose a time, Enter shows it.`}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          if (event.pointerType === "touch" || !data.length) return;
          area.current!.setPointerCapture(event.pointerId);
          anchor.current = index(event);
          choose([anchor.current, anchor.current]);
        }}
        onPointerMove={(event) => event.buttons && event.pointerType !== "touch" && choose([anchor.current, index(event)])}
      >
        {chosen && <rect class="range" x={percent((low / data.length) * 100)} width={percent(((high - low + 1) / data.length) * 100)} y="0" height="86%" />}
        {[1, 0.5].map((part) => <line key={part} class="grid" x1="0" x2="100%" y1={percent(86 - part * 70)} y2={percent(86 - part * 70)} />)}
        {data.map((bar, n) => {
          const height = bar.total ? Math.max(0.8, (bar.total / top) * 70) : 0;
          return (
            <rect key={bar.at} class={`bar ${chosen ? (n >= low && n <= high ? "in" : "out") : ""}`} x={percent(((n + 0.08) / data.length) * 100)} width={percent(84 / data.length)} y={percent(86 - height)} height={percent(height)}>
              <title>{`${dayTime(new Date(bar.at))}: ${exact(bar.total)}`}</title>
            </rect>
          );
        })}
        <line class="base" x1="0" x2="100%" y1="86%" y2="86%" />
        {marks.map((mark) => {
          const x = ((mark.at - data[0]!.at) / (data.length * step)) * 100;
          const flips = x < 12;
          return (
            <g key={mark.text}>
              <line class="mark-line" x1={percent(x)} x2={percent(x)} y1="0" y2="86%" />
              <text class="mark-text" x={percent(x)} dx={flips ? 6 : -6} y="0" dy="9" text-anchor={flips ? "start" : "end"}>{mark.text} first seen</text>
            </g>
          );
        })}
        {total > 0 && [1, 0.5].filter((part) => Number.isInteger(top * part)).map((part) => <text key={part} x="100%" y={percent(86 - part * 70)} dy="-3" text-anchor="end">{exact(top * part)}</text>)}
        {ticks.map(([x, text]) => <text key={x} x={percent(x)} y="100%" dy="-1">{text}</text>)}
      </svg>
    </figure>
  );
}

function niceTop(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 5, 10].map((factor) => factor * power).find((top) => top >= most) ?? most;
}

function labels(data: Bar[], step: number): [number, string][] {
  if (!data.length) return [];
  const found: [number, string][] = [];
  const days = step * data.length > 1.5 * DAY;
  // Summer time moves midnight by an hour, but not a bar into another day.
  const dayOf = (at: number) => new Date(at + Math.min(step / 2, DAY / 2));
  const gap = Math.max(1, Math.ceil(data.length / 8));
  let last = -gap;
  data.forEach((bar, index) => {
    const starts = days ? step >= DAY || dayOf(bar.at).getDate() !== dayOf(bar.at - step).getDate() : index % gap === 0;
    if (starts && index - last >= gap && index < data.length - gap / 3) {
      found.push([(index / data.length) * 100, days ? (step * data.length > 13 * DAY ? dayOnly : dayName)(dayOf(bar.at)) : hourName(new Date(bar.at))]);
      last = index;
    }
  });
  return found;
}
