// How many events arrive. A browser opens six connections to a server, so all tabs share one stream where they can: the tab that
// holds the lock has it and tells the others.
import { path } from "./api";

// `refused`: the server has given the person, or this browser, no stream; lists are then fetched every ten seconds.
export type LiveState = "connecting" | "live" | "refused";

type Message = { count?: number; state?: LiveState; asks?: true };

export function follow(scope: string, arrived: (count: number) => void, changed: (state: LiveState) => void): () => void {
  const channel = new BroadcastChannel(`headrace ${scope}`);
  let stream: EventSource | null = null;
  let state: LiveState = "connecting";
  let release = () => {};
  let ended = false;
  let heard = Date.now();
  channel.onmessage = (message: MessageEvent<Message>) => {
    if (message.data.asks) {
      if (stream) channel.postMessage({ state });
      return;
    }
    heard = Date.now();
    if (message.data.count) arrived(message.data.count);
    if (message.data.state) changed(message.data.state);
  };
  const tell = (next: LiveState) => {
    state = next;
    changed(state);
    channel.postMessage({ state });
  };
  const open = () => {
    if (ended) return;
    stream = new EventSource(path(`${scope}/events/stream`));
    stream.addEventListener("events", (message) => {
      const { count } = JSON.parse((message as MessageEvent<string>).data) as { count: number };
      arrived(count);
      channel.postMessage({ count });
    });
    stream.onopen = () => tell("live");
    stream.onerror = () => tell(stream?.readyState === EventSource.CLOSED ? "refused" : "connecting");
  };
  // Locks exist over TLS and on the machine itself; elsewhere each tab has a stream, and the server limits them.
  if (navigator.locks) {
    void navigator.locks.request(`headrace live ${scope}`, () => new Promise<void>((done) => {
      release = done;
      open();
      if (ended) done();
    }));
    channel.postMessage({ asks: true });
  } else open();
  // A stream that the server refused is asked for again, later.
  const again = setInterval(() => {
    if (stream?.readyState === EventSource.CLOSED) open();
    else if (stream) channel.postMessage({ state });
    else if (Date.now() - heard > 40_000) changed("refused");
  }, 15_000);
  return () => {
    ended = true;
    clearInterval(again);
    stream?.close();
    channel.close();
    release();
  };
}
