/** One line of JSON for each request, written when it has ended; nothing of what was said. @module */
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { clientOf } from "../routes/client.ts";
import type { RecordVariables } from "./request_record.ts";

/** What a line says; what is not known or does not apply is `null`. */
export interface RequestLine {
  /** When the request came, ISO 8601. */
  time: string;
  id: string;
  method: string;
  /** The pattern of the route, as `/v1/models/:id{.+}`; never the path itself. */
  route: string;
  status: number;
  /** Milliseconds to the end of the answer, that of the stream if it is one. */
  ms: number;
  /** The first 8 hexadecimal digits of the API key's SHA-256. */
  owner: string | null;
  prompt_tokens: number | null;
  cached_tokens: number | null;
  completion_tokens: number | null;
  finish_reason: string | null;
  /** The code of an error, one inside a stream too. */
  error: string | null;
}

/** Gives `write` each request's line when it has ended. */
export function logRequests(
  write: (line: RequestLine) => void,
): MiddlewareHandler<{ Variables: RecordVariables }> {
  return async (c, next) => {
    const time = new Date().toISOString();
    const begun = performance.now();
    const record = c.get("record");
    await next();
    // Asked for now: of a request that is over, Deno tells nothing any more.
    const about = {
      time,
      id: c.get("requestId"),
      method: c.req.method,
      route: routePath(c),
      status: c.res.status,
    };
    const owner = clientOf(c).owner.slice(0, 8) || null;
    record.atEnd(() => {
      const { tokens, finishReason, error } = record;
      write({
        ...about,
        ms: Math.round((performance.now() - begun) * 10) / 10,
        owner,
        prompt_tokens: tokens?.prompt ?? null,
        cached_tokens: tokens?.cached ?? null,
        completion_tokens: tokens?.completion ?? null,
        finish_reason: finishReason,
        error,
      });
    });
  };
}
