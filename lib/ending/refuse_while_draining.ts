/** Requests that come while the server ends. @module */
import type { MiddlewareHandler } from "hono";
import type { RecordVariables } from "../observe/request_record.ts";
import { serverStopping } from "../openai/errors.ts";
import type { Drain } from "./drain.ts";

/** Refuses all requests once the drain has begun, and tells it of those that came before. */
export function refuseWhileDraining(
  drain: Drain,
): MiddlewareHandler<{ Variables: RecordVariables }> {
  return async (c, next) => {
    if (drain.draining) throw serverStopping();
    c.get("record").atEnd(drain.enter());
    await next();
  };
}
