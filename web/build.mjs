// Builds the web app into collector/api/pages/web_app, where it is committed: users have no Node. The same sources give the same bytes.
import { build } from "esbuild";
import { cp, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = process.argv[2] ?? here("../collector/api/pages/web_app");

await mkdir(target, { recursive: true });
await build({
  absWorkingDir: here("."),
  entryPoints: { app: "src/main.tsx" },
  outdir: target,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome123", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
});
await build({
  absWorkingDir: here("."),
  entryPoints: { app: "src/app.css" },
  outdir: target,
  minify: true,
  bundle: true,
  target: ["chrome123", "firefox120", "safari17.5"],
});
for (const name of ["index.html", "theme.js"]) await cp(here(`src/${name}`), `${target}/${name}`);
