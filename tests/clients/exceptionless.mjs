// exceptionless 1.x, as its README says to use it; it keeps its timers, so the end has to be asked for.
import { ExceptionlessClient, SettingsManager } from "exceptionless";
import { calledOn, converse } from "./wire.mjs";

const client = ExceptionlessClient.default;

await converse({
  client,

  start: ({ apiKey, serverUrl }, configure) => {
    client.config.apiKey = apiKey;
    client.config.serverUrl = serverUrl;
    configure.forEach((call) => calledOn(client.config, call));
  },

  submit: (builder) => new Promise((resolve) => builder.submit((context) => resolve(context.cancelled ?? false))),

  send: () => client.config.queue.process(),

  settings: () => ({ version: SettingsManager.getVersion(client.config), settings: client.config.settings }),
});
process.exit();
