/** `GET /v1/models`: the one model that is loaded, and what its conversations take. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import type { ChatModel } from "../chat/chat_model.ts";
import { addPath } from "../openapi/add_path.ts";
import type { Operation } from "../openapi/operation.ts";
import { planSchema } from "../plan/wire.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";
import { answerPlan, planQuerySchema } from "./plan.ts";

const model = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int().min(0).describe("Seconds since 1970 when it was loaded."),
  owned_by: z.literal("everstream"),
}).meta({ id: "Model" });

const path = { model: "The model's id, with slashes escaped, or `default`." };

const LIST: Operation = {
  id: "listModels",
  tag: "Models",
  summary: "List the loaded model",
  answers: {
    200: {
      description: "One model.",
      content: {
        "application/json": z.object({
          object: z.literal("list"),
          data: z.array(model),
        }),
      },
    },
  },
};

const READ: Operation = {
  id: "getModel",
  tag: "Models",
  summary: "Read the loaded model",
  path,
  answers: {
    200: { description: "It.", content: { "application/json": model } },
  },
  errors: [404],
};

const PLAN: Operation = {
  id: "getPlan",
  tag: "Models",
  summary: "Plan what conversations of the loaded model take",
  path,
  query: planQuerySchema,
  answers: {
    200: {
      description: "Bytes by policy and precision.",
      content: { "application/json": planSchema },
    },
  },
  errors: [404],
};

/** The routes under `/v1/models`. */
export function modelRoutes(parts: Parts): OpenAPIHono {
  const app = new OpenAPIHono();
  addPath(app, "/", {
    get: [
      LIST,
      (c) => c.json({ object: "list", data: [wireModel(readyModel(parts))] }),
    ],
  });
  // Ids of Hugging Face have a slash, which clients send escaped or not.
  addPath(app, "/:path{.+/plan}", {
    get: [
      PLAN,
      (c) =>
        answerPlan(c, parts, c.req.param("path").slice(0, -"/plan".length)),
    ],
  }, "/{model}/plan");
  addPath(app, "/:model{.+}", {
    get: [
      READ,
      (c) => c.json(wireModel(namedModel(parts, c.req.param("model")))),
    ],
  });
  return app;
}

function wireModel({ id, created }: ChatModel) {
  return { id, object: "model", created, owned_by: "everstream" };
}
