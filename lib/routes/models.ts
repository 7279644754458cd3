/** `GET /v1/models`: the one model that is loaded, and what its conversations take. @module */
import { Hono } from "hono";
import type { ChatModel } from "../chat/chat_model.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";
import { answerPlan } from "./plan.ts";

/** The routes under `/v1/models`. */
export function modelRoutes(parts: Parts): Hono {
  return new Hono()
    .get(
      "/",
      (c) => c.json({ object: "list", data: [wireModel(readyModel(parts))] }),
    )
    // Ids of Hugging Face have a slash, which clients send escaped or not.
    .get(
      "/:path{.+/plan}",
      (c) =>
        answerPlan(c, parts, c.req.param("path").slice(0, -"/plan".length)),
    )
    .get(
      "/:id{.+}",
      (c) => c.json(wireModel(namedModel(parts, c.req.param("id")))),
    );
}

function wireModel({ id, created }: ChatModel) {
  return { id, object: "model", created, owned_by: "everstream" };
}
