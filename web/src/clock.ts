// The time by the server's clock, where this device's is wrong, and a signal that lets relative times move on.
import { signal } from "@preact/signals";

const TOLERATED_MS = 30_000;
const TICK_MS = 20_000;

export const tick = signal(0);
export const wrong = signal(0); // by how many milliseconds this device is ahead of the server
export const now = (): number => Date.now() - wrong.value;

// Every answer says when it was sent.
export function heard(date: string | null): void {
  const ahead = Date.now() - Date.parse(date ?? "");
  if (Number.isNaN(ahead)) return;
  const found = Math.abs(ahead) > TOLERATED_MS ? ahead : 0;
  if (Math.abs(found - wrong.value) > TOLERATED_MS || (!found && wrong.value)) wrong.value = found;
}

const move = () => { if (!document.hidden) tick.value++; };
setInterval(move, TICK_MS);
document.addEventListener("visibilitychange", move);
