/** `GET /v1/models/{id}/plan`: what conversations of the loaded model take. @module */
import type { Context } from "hono";
import { z } from "zod";
import { invalidRequest, routeNotFound } from "../openai/errors.ts";
import { parseQuery, whole } from "../openai/query.ts";
import { wirePlan } from "../plan/wire.ts";
import { namedModel, type Parts } from "./parts.ts";

/** What may be asked of a plan. */
export const planQuerySchema = z.strictObject({
  tokens: whole(1, 2 ** 30).default(4096),
  streams: whole(1, 2 ** 20).default(1),
});

/** Answers with the plan of the model that is asked for. */
export async function answerPlan(
  c: Context,
  parts: Parts,
  asked: string,
): Promise<Response> {
  const { id: model } = namedModel(parts, asked);
  const caches = parts.caches();
  if (caches === null) throw routeNotFound(c.req.method, c.req.path);
  const query = parseQuery(planQuerySchema, c.req.query());
  const { shape, ...room } = caches;
  const request = { ...room, ...query };
  // Loaded here, since a server that is asked for no plan needs none of the graph's code.
  const { planCaches } = await import("../plan/plan_caches.ts");
  try {
    const plan = planCaches(shape, request);
    return c.json(wirePlan({ model, shape, request, ...plan }));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidRequest(`${error.message}. Ask for fewer.`, {
      param: "streams",
      code: "invalid_value",
    });
  }
}
