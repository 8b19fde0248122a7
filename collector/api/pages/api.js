// Swagger UI on the document of the same address; light or dark as the reader's system is.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// Every field of the dialog asks for the focus as it appears, and the last one gets it and scrolls the first ones
// out of sight. Here the dialog begins at its top.
const beginsAtTheTop = () => ({
  wrapComponents: {
    authorizationPopup: (Popup, { React }) => (props) => {
      React.useLayoutEffect(() => document.querySelector(".auth-container :is(input, button)")?.focus(), []);
      return React.createElement(Popup, props);
    },
  },
});

// Swagger UI's own resolver works through the whole document for each operation that is opened, a second each time.
// Our document refers only to itself.
const resolved = (value, root, within = []) => {
  if (Array.isArray(value)) return value.map((member) => resolved(member, root, within));
  if (typeof value !== "object" || value === null) return value;
  const reference = value.$ref;
  if (typeof reference === "string") {
    if (!reference.startsWith("#/") || within.includes(reference)) return {};
    const found = reference.slice(2).split("/").reduce((part, name) => part?.[name], root);
    return resolved(found, root, [...within, reference]);
  }
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, resolved(member, root, within)]));
};
const resolvesQuickly = () => ({
  fn: {
    resolveSubtree: async (root, path) => ({ spec: resolved(path.reduce((part, name) => part?.[name], root), root), errors: [] }),
  },
});

// A reference id is stored once: the examples get ids of their own, and one that was sent is replaced before it is
// sent again, in the field, too.
const example = /hello-0001/g;
const ours = /hello-[0-9a-f]{12}/g;
const sent = new Set();
const fresh = () => "hello-" + Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const withFreshIds = (request) => {
  const body = request.body.replace(ours, (id) => (sent.has(id) ? fresh() : id));
  for (const [id] of body.matchAll(ours)) sent.add(id);
  if (body === request.body) return;
  request.body = body;
  const path = new URL(request.url, location.href).pathname.replace(/\/projects\/[^/]+\/events$/, "/projects/{projectId}/events");
  ui.oas3Actions.setRequestBodyValue({ value: body, pathMethod: [path, request.method.toLowerCase()] });
};

// A login has no project, as the missing settings of one tell: its events go to the first that it reaches.
const withProject = async (request) => {
  const url = new URL(request.url, location.href);
  const { Authorization } = request.headers;
  const asked = (path) => fetch(new URL(path + url.search, url), { headers: Authorization ? { Authorization } : {} });
  if ((await asked("projects/config")).ok) return;
  const reached = await asked("projects");
  const [project] = reached.ok ? await reached.json() : [];
  if (project) request.url = new URL(`projects/${project.id}/events${url.search}`, url).href;
};

const before = async (request) => {
  if (request.method !== "POST") return request;
  if (typeof request.body === "string") withFreshIds(request);
  if (new URL(request.url, location.href).pathname.endsWith("/api/v2/events")) await withProject(request);
  return request;
};

const after = (response) => {
  if (response.url.endsWith("/openapi.json")) response.text = response.text.replace(example, fresh);
  return response;
};

const ui = SwaggerUIBundle({
  url: "docs/v2/openapi.json",
  dom_id: "#api",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [beginsAtTheTop, resolvesQuickly],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  requestInterceptor: before,
  responseInterceptor: after,
});
