/** `GET /metrics`: figures for an operator, for Prometheus to scrape. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { RequestIdVariables } from "hono/request-id";
import { exposition, EXPOSITION_TYPE } from "../metrics/exposition.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { type NamedState, stateFamilies } from "../metrics/model_state.ts";
import { snapshotFamilies } from "../metrics/snapshot_state.ts";
import { addPath } from "../openapi/add_path.ts";
import type { Operation } from "../openapi/operation.ts";
import type { Parts } from "./parts.ts";

type Env = { Variables: RequestIdVariables };

const METRICS: Operation = {
  id: "getMetrics",
  tag: "Server",
  summary: "Figures for an operator",
  answers: {
    200: {
      description: "For Prometheus to scrape.",
      content: {
        [EXPOSITION_TYPE]: "Prometheus' text format, version 0.0.4.",
      },
    },
  },
};

/** The route of `/metrics`. */
export function metricRoutes(
  { model, store, report }: Parts,
  metrics: Metrics,
): OpenAPIHono<Env> {
  /** What answers were like is worth telling even if the model cannot tell its state. */
  async function namedState(requestId: string): Promise<NamedState | null> {
    const loaded = model();
    if (loaded === null) return null;
    try {
      return { model: loaded.id, state: await loaded.state() };
    } catch (error) {
      report(error, requestId);
      return null;
    }
  }

  return addPath(new OpenAPIHono<Env>(), "/", {
    get: [METRICS, async (c) => {
      const state = stateFamilies(await namedState(c.get("requestId")));
      const snapshots = snapshotFamilies(store?.snapshots ?? null);
      const families = [...state, ...snapshots, ...metrics.families];
      return c.body(exposition(families), 200, {
        "content-type": EXPOSITION_TYPE,
        "cache-control": "no-store",
      });
    }],
  });
}
