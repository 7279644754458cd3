/** Plans as JSON, for programs: the same from the command line and from the API. @module */
import type { KvBits } from "../cache/cache_format.ts";
import type { EngineName } from "../engine/engine.ts";
import { lazyLayerCount } from "../cache/lazy_share.ts";
import type { CacheShape } from "../graph/decoder_shape.ts";
import type { Plan, PlanRequest } from "./plan_caches.ts";

/** A plan, and what it is of. */
export interface NamedPlan extends Plan {
  readonly model: string;
  readonly shape: CacheShape;
  readonly request: PlanRequest;
}

/** A plan in the spelling of OpenAI's fields. */
export interface WirePlan {
  object: "everstream.plan";
  model: string;
  layers: number;
  heads: number;
  kv_heads: number;
  head_dim: number;
  tokens: number;
  streams: number;
  sinks: number;
  window: number;
  lazy_layers: number;
  memory: number;
  caches: {
    policy: string;
    precision: string;
    kv_bits: KvBits;
    engines: readonly EngineName[];
    capacity: number;
    bytes_per_token: number;
    bytes: number;
    bytes_in_all: number;
    fit: number;
  }[];
  left_out: {
    precision: string;
    engines: readonly EngineName[];
    reason: string;
  }[];
}

/** A plan for the wire. */
export function wirePlan(plan: NamedPlan): WirePlan {
  const { model, shape, request, caches, leftOut } = plan;
  return {
    object: "everstream.plan",
    model,
    layers: shape.layers,
    heads: shape.heads,
    kv_heads: shape.kvHeads,
    head_dim: shape.headDim,
    tokens: request.tokens,
    streams: request.streams,
    sinks: request.sinks,
    window: request.window,
    lazy_layers: lazyLayerCount(request.lazyLayers ?? "auto", shape.layers),
    memory: request.memory,
    caches: caches.map((cache) => ({
      policy: cache.policy,
      precision: cache.precision,
      kv_bits: cache.kvBits,
      engines: cache.engines,
      capacity: cache.capacity,
      bytes_per_token: cache.bytesPerToken,
      bytes: cache.bytes,
      bytes_in_all: cache.bytesInAll,
      fit: cache.fit,
    })),
    left_out: leftOut.map(({ precision, engines, reason }) => ({
      precision,
      engines,
      reason,
    })),
  };
}
