/** Gives each request its record. @module */
import type { MiddlewareHandler } from "hono";
import { whenEnded } from "./body_end.ts";
import {
  type RecordVariables,
  RequestRecord,
  runWithRecord,
} from "./request_record.ts";

/** Gives each request its record, for the context and all that the request's work calls. */
export function recordRequests(): MiddlewareHandler<
  { Variables: RecordVariables }
> {
  return async (c, next) => {
    const record = new RequestRecord();
    c.set("record", record);
    await runWithRecord(record, next);
    if (c.error) record.failed(c.error);
    const response = whenEnded(
      { request: c.req.raw, response: c.res },
      () => record.ended(),
    );
    if (response !== c.res) c.res = response;
  };
}
