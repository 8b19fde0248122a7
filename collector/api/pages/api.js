// Swagger UI on the document of the same address; light or dark as the reader's system is.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// Every field of the dialog asks for the focus as it appears, and the last one gets it and scrolls the first ones
// out of sight. Whoever opens the dialog begins at its top.
const beginsAtTheTop = () => ({
  wrapComponents: {
    authorizationPopup: (Popup, { React }) => (props) => {
      React.useLayoutEffect(() => document.querySelector(".auth-container :is(input, button)")?.focus(), []);
      return React.createElement(Popup, props);
    },
  },
});

SwaggerUIBundle({
  url: "docs/v2/openapi.json",
  dom_id: "#api",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [beginsAtTheTop],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
