/** `GET /`: the chat page and its files, which are part of the program. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import key from "../web/api_key.js" with { type: "text" };
import script from "../web/app.js" with { type: "text" };
import icon from "../web/icon.svg" with { type: "text" };
import page from "../web/index.html" with { type: "text" };
import strip from "../web/cache_strip.js" with { type: "text" };
import style from "../web/style.css" with { type: "text" };
import stream from "../web/chat_stream.js" with { type: "text" };
import { addFile, addPath } from "../openapi/add_path.ts";
import type { Operation } from "../openapi/operation.ts";
import { sendFile, type TextFile } from "./files.ts";

const FILES: Readonly<Record<string, TextFile>> = {
  "/app.js": { type: "text/javascript", text: script },
  "/api_key.js": { type: "text/javascript", text: key },
  "/cache_strip.js": { type: "text/javascript", text: strip },
  "/chat_stream.js": { type: "text/javascript", text: stream },
  "/style.css": { type: "text/css", text: style },
  "/icon.svg": { type: "image/svg+xml", text: icon },
};

/** Where the page and its files are. */
export const PAGE_PATHS: readonly string[] = ["/", ...Object.keys(FILES)];

const PAGE: Operation = {
  id: "getPage",
  tag: "Server",
  summary: "The chat page",
  answers: {
    200: {
      description: "HTML, which needs this server's other files.",
      content: { "text/html": "A page." },
    },
  },
};

/** The routes of the page. */
export function pageRoutes(): OpenAPIHono {
  const app = new OpenAPIHono();
  addPath(app, "/", {
    get: [PAGE, sendFile({ type: "text/html", text: page })],
  });
  for (const [path, file] of Object.entries(FILES)) {
    addFile(app, path, sendFile(file));
  }
  return app;
}
