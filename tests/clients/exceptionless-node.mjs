// @exceptionless/node, as its README says to use it; only the plug-in for unhandled errors is left off.
import { Exceptionless as client } from "@exceptionless/node";
import { calledOn, converse } from "./wire.mjs";

await converse({
  client,

  start: ({ apiKey, serverUrl }, configure) =>
    client.startup((config) => {
      config.apiKey = apiKey;
      config.serverUrl = serverUrl;
      config.removePlugin("NodeGlobalHandlerPlugin");
      configure.forEach((call) => calledOn(config, call));
    }),

  submit: async (builder) => (await builder.submit()).cancelled,

  send: () => client.processQueue(),

  settings: () => ({ version: client.config.settingsVersion, settings: client.config.settings }),
});
