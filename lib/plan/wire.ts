/** Plans as JSON, for programs: the same from the command line and from the API. @module */
import { z } from "zod";
import { KV_BITS, type KvBits } from "../cache/cache_format.ts";
import { ENGINE_NAMES, type EngineName } from "../engine/engine.ts";
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

const count = z.int().min(0);

const plannedSchema = {
  precision: z.string(),
  engines: z.array(z.enum(ENGINE_NAMES)),
};

/** A plan for the wire, for those who read it. */
export const planSchema = z.object({
  object: z.literal("everstream.plan"),
  model: z.string(),
  layers: count,
  heads: count,
  kv_heads: count,
  head_dim: count,
  tokens: count.describe("Tokens that each conversation is planned for."),
  streams: count.describe("Conversations at the same time."),
  sinks: count,
  window: count,
  lazy_layers: count,
  memory: count.describe("Bytes that caches may take in all."),
  caches: z.array(z.object({
    policy: z.string(),
    ...plannedSchema,
    kv_bits: z.literal(KV_BITS),
    capacity: count,
    bytes_per_token: count,
    bytes: count.describe("Bytes of one conversation."),
    bytes_in_all: count,
    fit: count.describe("Conversations that fit in the memory."),
  })),
  left_out: z.array(z.object({ ...plannedSchema, reason: z.string() })),
}).meta({ id: "Plan" }) satisfies z.ZodType<WirePlan>;

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
