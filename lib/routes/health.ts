/** `GET /health`: whether this server can answer, for load balancers and the page. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import { addPath } from "../openapi/add_path.ts";
import type { Operation } from "../openapi/operation.ts";
import { errorSchema } from "../openai/errors.ts";
import type { Parts } from "./parts.ts";

const HEALTH: Operation = {
  id: "getHealth",
  tag: "Server",
  summary: "Whether this server can answer",
  answers: {
    200: {
      description: "It can.",
      content: {
        "application/json": z.object({
          status: z.literal("ok"),
          model: z.string(),
        }),
      },
    },
    503: {
      description: "Not yet (`loading`), or never (`failed`).",
      content: {
        "application/json": z.union([
          z.object({ status: z.literal("loading") }),
          z.object({ status: z.literal("failed"), error: z.string() }),
          errorSchema,
        ]),
      },
      headers: { "Retry-After": "Whole seconds after which to try again." },
    },
  },
};

/** The route of `/health`. */
export function healthRoutes({ model, loadError }: Parts): OpenAPIHono {
  return addPath(new OpenAPIHono(), "/", {
    get: [HEALTH, (c) => {
      c.header("cache-control", "no-store");
      const loaded = model();
      if (loaded) return c.json({ status: "ok", model: loaded.id });
      const error = loadError();
      return error === null
        ? c.json({ status: "loading" }, 503, { "retry-after": "1" })
        : c.json({ status: "failed", error }, 503);
    }],
  });
}
