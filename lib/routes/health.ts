/** `GET /health`: whether this server can answer, for load balancers and the page. @module */
import { Hono } from "hono";
import type { Parts } from "./parts.ts";

/** The route of `/health`. */
export function healthRoutes({ model, loadError }: Parts): Hono {
  return new Hono().get("/", (c) => {
    c.header("cache-control", "no-store");
    const loaded = model();
    if (loaded) return c.json({ status: "ok", model: loaded.id });
    const error = loadError();
    return error === null
      ? c.json({ status: "loading" }, 503, { "retry-after": "1" })
      : c.json({ status: "failed", error }, 503);
  });
}
