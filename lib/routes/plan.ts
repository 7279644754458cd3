/** `GET /v1/models/{id}/plan`: what conversations of the loaded model take. @module */
import type { Context } from "hono";
import { z } from "zod";
import { invalidRequest, routeNotFound } from "../openai/errors.ts";
import { issuesToError } from "../openai/issues.ts";
import { wirePlan } from "../plan/wire.ts";
import { namedModel, type Parts } from "./parts.ts";

function count(most: number, standard: number) {
  const what = `a whole number from 1 to ${most}`;
  return z.string().regex(/^\d{1,15}$/, what).transform(Number)
    .pipe(z.number().min(1, what).max(most, what)).default(standard);
}

const QUERY = z.strictObject({
  tokens: count(2 ** 30, 4096),
  streams: count(2 ** 20, 1),
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
  const query = c.req.query();
  const result = QUERY.safeParse(query);
  if (!result.success) {
    const { issues } = result.error;
    throw issuesToError(issues, { body: query, unsupported: new Set() });
  }
  const { shape, ...room } = caches;
  const request = { ...room, ...result.data };
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
