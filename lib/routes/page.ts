/** `GET /`: the chat page and its files, which are part of the program. @module */
import { Hono } from "hono";
import key from "../web/api_key.js" with { type: "text" };
import script from "../web/app.js" with { type: "text" };
import icon from "../web/icon.svg" with { type: "text" };
import page from "../web/index.html" with { type: "text" };
import strip from "../web/cache_strip.js" with { type: "text" };
import style from "../web/style.css" with { type: "text" };
import stream from "../web/chat_stream.js" with { type: "text" };

const FILES = {
  "/": { type: "text/html", text: page },
  "/app.js": { type: "text/javascript", text: script },
  "/api_key.js": { type: "text/javascript", text: key },
  "/cache_strip.js": { type: "text/javascript", text: strip },
  "/chat_stream.js": { type: "text/javascript", text: stream },
  "/style.css": { type: "text/css", text: style },
  "/icon.svg": { type: "image/svg+xml", text: icon },
};

/** Where the page and its files are. */
export const PAGE_PATHS: readonly string[] = Object.keys(FILES);

/** The routes of the page. */
export function pageRoutes(): Hono {
  const app = new Hono();
  for (const [path, { type, text }] of Object.entries(FILES)) {
    app.get(path, (c) =>
      c.body(text, 200, {
        "content-type": `${type}; charset=utf-8`,
        "cache-control": "no-cache",
      }));
  }
  return app;
}
