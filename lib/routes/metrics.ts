/** `GET /metrics`: figures for an operator, for Prometheus to scrape. @module */
import { Hono } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import { exposition, EXPOSITION_TYPE } from "../metrics/exposition.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { type NamedState, stateFamilies } from "../metrics/model_state.ts";
import { snapshotFamilies } from "../metrics/snapshot_state.ts";
import type { Parts } from "./parts.ts";

/** The route of `/metrics`. */
export function metricRoutes(
  { model, store, report }: Parts,
  metrics: Metrics,
): Hono<{ Variables: RequestIdVariables }> {
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

  return new Hono<{ Variables: RequestIdVariables }>().get("/", async (c) => {
    const state = stateFamilies(await namedState(c.get("requestId")));
    const snapshots = snapshotFamilies(store?.snapshots ?? null);
    const families = [...state, ...snapshots, ...metrics.families];
    return c.body(exposition(families), 200, {
      "content-type": EXPOSITION_TYPE,
      "cache-control": "no-store",
    });
  });
}
