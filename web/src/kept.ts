// What the browser keeps for a person between visits. Where it keeps nothing, it lasts as long as the page.
import { signal, type Signal } from "@preact/signals";

const known = new Map<string, { value: Signal<unknown>; read: () => unknown }>();

// The value under this key; what something else has written there is left aside.
export function kept<T>(key: string, otherwise: T, isValid: (value: unknown) => value is T): Signal<T> {
  const found = known.get(key);
  if (found) return found.value as Signal<T>;
  const read = (): T => {
    let stored: unknown = null;
    try {
      stored = JSON.parse(localStorage.getItem(key) ?? "null");
    } catch {
      // No storage, or not JSON.
    }
    return isValid(stored) ? stored : otherwise;
  };
  const made = signal(read());
  known.set(key, { value: made as Signal<unknown>, read });
  return made;
}

export function keep<T>(key: string, value: T): void {
  known.get(key)!.value.value = value;
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Then it is gone with the page.
  }
}

// Another tab has changed it, or removed everything.
addEventListener("storage", (event) => {
  for (const [key, { value, read }] of known) if (event.key === null || event.key === key) value.value = read();
});
