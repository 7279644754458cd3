/** `GET /openapi.json`: what this server offers, for programs to read. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import { addPath } from "../openapi/add_path.ts";
import type { Document } from "../openapi/document.ts";
import type { Operation } from "../openapi/operation.ts";

/** Where these routes are. */
export const DOCS_PATHS: readonly string[] = ["/openapi.json"];

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

/** The routes of the documentation. @param document makes the document, once it is asked for */
export function docsRoutes(document: () => Document): OpenAPIHono {
  let made: Document | null = null;
  return addPath(new OpenAPIHono(), "/openapi.json", {
    get: [DOCUMENT, (c) => {
      c.header("cache-control", "no-cache");
      return c.json(made ??= document());
    }],
  });
}
