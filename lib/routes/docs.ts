/** `GET /openapi.json` and `GET /docs`: what this server offers, for programs and for people. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import page from "../web/docs.html" with { type: "text" };
import script from "../web/docs.js" with { type: "text" };
import { addFile, addPath } from "../openapi/add_path.ts";
import type { Document } from "../openapi/document.ts";
import type { Operation } from "../openapi/operation.ts";
import { sendFile, type TextFile } from "./files.ts";

/** Loaded when they are asked for: they are larger than all else that is served. */
const FILES: Readonly<Record<string, () => Promise<TextFile>>> = {
  "/docs/swagger-ui.js": async () => ({
    type: "text/javascript",
    text: (await import("swagger-ui-dist/swagger-ui-bundle.js", {
      with: { type: "text" },
    })).default,
  }),
  "/docs/swagger-ui.css": async () => ({
    type: "text/css",
    text: (await import("swagger-ui-dist/swagger-ui.css", {
      with: { type: "text" },
    })).default,
  }),
  "/docs/docs.js": () =>
    Promise.resolve({ type: "text/javascript", text: script }),
};

/** Where these routes are. */
export const DOCS_PATHS: readonly string[] = [
  "/openapi.json",
  "/docs",
  ...Object.keys(FILES),
];

const DOCUMENT: Operation = {
  id: "getDocument",
  tag: "Server",
  summary: "This document",
  answers: {
    200: {
      description: "OpenAPI 3.1.",
      content: {
        "application/json": z.looseObject({ openapi: z.string() }),
      },
    },
  },
};

const PAGE: Operation = {
  id: "getDocs",
  tag: "Server",
  summary: "This document as a page",
  answers: {
    200: {
      description: "HTML, which needs this server's other files.",
      content: { "text/html": "A page." },
    },
  },
};

/** The routes of the documentation. @param document makes the document, once it is asked for */
export function docsRoutes(document: () => Document): OpenAPIHono {
  let made: Document | null = null;
  const app = new OpenAPIHono();
  addPath(app, "/openapi.json", {
    get: [DOCUMENT, (c) => {
      c.header("cache-control", "no-cache");
      return c.json(made ??= document());
    }],
  });
  addPath(app, "/docs", {
    get: [PAGE, sendFile({ type: "text/html", text: page })],
  });
  for (const [path, file] of Object.entries(FILES)) {
    addFile(app, path, async (c, next) => sendFile(await file())(c, next));
  }
  return app;
}
