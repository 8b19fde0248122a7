// Reads a command a line, lets the client do it, and answers a line: a JSON object each way.
//
//   {"start": {"apiKey", "serverUrl"}, "configure": [[method, ...arguments], ...]}
//   {"submit": [[method, ...arguments], ...]}   a chain of calls that begins at the client and ends in submit()
//   {"call": [method, ...arguments]}            one call of the client
//   {"send": true}                              send one batch of what is queued, without waiting for a timer
//   {"settings": true}                          which settings the client has, and their version
//
// An argument {"thrown": {...}} stands for an error that is thrown for real, so that its stack is a real one.
import { createInterface } from "node:readline";

export async function converse(actions) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answerTo(JSON.parse(line), actions))}\n`);
  }
}

async function answerTo(command, actions) {
  try {
    if (command.start) return { done: await actions.start(command.start, command.configure) };
    if (command.submit) return { done: await actions.submit(chained(actions.client, command.submit)) };
    if (command.call) return { done: await calledOn(actions.client, command.call) };
    if (command.send) return { done: await actions.send() };
    return { done: await actions.settings() };
  } catch (error) {
    return { failed: String(error.stack) };
  }
}

export function chained(target, calls) {
  return calls.reduce(calledOn, target);
}

export function calledOn(target, [method, ...values]) {
  return target[method](...values.map((value) => (value?.thrown ? thrown(value.thrown) : value)));
}

function thrown({ type, message, members }) {
  try {
    throwDeep(globalThis[type], message, members, 3);
  } catch (error) {
    return error;
  }
}

function throwDeep(Type, message, members, depth) {
  if (depth > 0) return [depth].forEach(() => throwDeep(Type, message, members, depth - 1));
  throw Object.assign(new Type(message), members);
}
