// What the browser keeps for a person between visits. Where it keeps nothing, it lasts as long as the page.
import { signal, type Signal } from "@preact/signals";

const known = new Map<string, Signal<unknown>>();

// The value under this key; what something else has written there is left aside.
export function kept<T>(key: string, otherwise: T, isValid: (value: unknown) => value is T): Signal<T> {
  const found = known.get(key) as Signal<T> | undefined;
  if (found) return found;
  let stored: unknown = null;
  try {
    stored = JSON.parse(localStorage.getItem(key) ?? "null");
  } catch {
    // No storage, or not JSON.
  }
  const made = signal(isValid(stored) ? stored : otherwise);
  known.set(key, made);
  return made;
}

export function keep<T>(key: string, value: T): void {
  known.get(key)!.value = value;
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Then it is gone with the page.
  }
}

// Another tab has changed it.
addEventListener("storage", (event) => {
  if (event.key) known.delete(event.key);
});
