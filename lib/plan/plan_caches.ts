/**
 * How much memory conversations take, by policy and precision, from a model's numbers alone. All
 * bytes come from the allocator's functions; here they are only compared.
 *
 * @module
 */
import type { KvBits } from "../cache/cache_format.ts";
import type { EngineName } from "../engine/engine.ts";
import type { CacheShape } from "../graph/decoder_shape.ts";
import {
  type Conversation,
  type LayerGroup,
  type PlannedPolicy,
  POLICIES,
} from "./policies.ts";
import { type Precision, PRECISIONS } from "./precisions.ts";

/** What is to be planned. */
export interface PlanRequest extends Conversation {
  /** Conversations side by side. */
  readonly streams: number;
  /** Bytes for the caches of all conversations. */
  readonly memory: number;
}

/** What is compared; by default all there is. */
export interface PlanChoice {
  readonly policies?: readonly PlannedPolicy[];
  readonly precisions?: readonly Precision[];
}

/** One policy with one precision. */
export interface CachePlan {
  readonly policy: string;
  readonly precision: string;
  /** Bits of a row's elements, as a request asks for them. */
  readonly kvBits: KvBits;
  readonly engines: readonly EngineName[];
  /** Most tokens that a layer keeps. */
  readonly capacity: number;
  /** Bytes that one more token takes, in all layers. */
  readonly bytesPerToken: number;
  /** Bytes of one conversation, from its first token to its last. */
  readonly bytes: number;
  /** Bytes of all of them. */
  readonly bytesInAll: number;
  /** How many such conversations the memory holds. */
  readonly fit: number;
}

/** A precision that a model cannot have. */
export interface LeftOut {
  readonly precision: string;
  readonly engines: readonly EngineName[];
  readonly reason: string;
}

/** What conversations take. */
export interface Plan {
  readonly caches: readonly CachePlan[];
  readonly leftOut: readonly LeftOut[];
}

/**
 * Plans each policy with each precision.
 *
 * @throws {RangeError} if the numbers come to more bytes than can be counted, or more layers are to
 * be lazy than there are
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { planCaches } from "./plan_caches.ts";
 * // SmolLM2-135M, with the server's defaults.
 * const shape = { layers: 30, heads: 9, kvHeads: 3, headDim: 64 };
 * const { caches } = planCaches(shape, {
 *   tokens: 4096,
 *   streams: 8,
 *   sinks: 4,
 *   window: 1020,
 *   memory: 384 * 2 ** 20,
 * });
 * const plan = caches.find((plan) => plan.policy === "sink-window")!;
 * assertEquals(plan.bytesPerToken, 45 * 1024);
 * assertEquals(plan.bytes, 1024 * 45 * 1024);
 * assertEquals(plan.fit, 8);
 * ```
 */
export function planCaches(
  shape: CacheShape,
  request: PlanRequest,
  { policies = POLICIES, precisions = PRECISIONS }: PlanChoice = {},
): Plan {
  const caches: CachePlan[] = [];
  const leftOut: LeftOut[] = [];
  const possible = precisions.filter((precision) => {
    const reason = refusal(precision, shape);
    const { name, engines } = precision;
    if (reason !== null) leftOut.push({ precision: name, engines, reason });
    return reason === null;
  });
  for (const policy of policies) {
    const groups = policy.keeps(request, shape.layers);
    for (const precision of possible) {
      if (groups.length > 1 && !precision.layered) continue;
      const { name, kvBits, engines } = precision;
      caches.push({
        policy: policy.name,
        precision: name,
        kvBits,
        engines,
        capacity: Math.max(...groups.map((g) => g.sinks + g.window)),
        ...bytesOf(shape, { precision, groups, request }),
      });
    }
  }
  return { caches, leftOut };
}

/** Why the engines of a precision cannot run the model; `null` if they can. */
function refusal(precision: Precision, shape: CacheShape): string | null {
  try {
    rowBytes(precision, shape);
    return null;
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
}

/** What the allocator asks for one more token in every layer. */
function rowBytes(precision: Precision, shape: CacheShape): number {
  const { layers } = shape;
  const of = (window: number) =>
    precision.groupBytes(shape, { layers, sinks: 1, window }, 1);
  return of(2) - of(1);
}

function bytesOf(
  shape: CacheShape,
  { precision, groups, request: { streams, memory } }: {
    precision: Precision;
    groups: readonly LayerGroup[];
    request: PlanRequest;
  },
): Pick<CachePlan, "bytesPerToken" | "bytes" | "bytesInAll" | "fit"> {
  const each = (slots: number) =>
    groups.reduce(
      (sum, group) => sum + precision.groupBytes(shape, group, slots),
      0,
    );
  const bytes = {
    bytesPerToken: rowBytes(precision, shape),
    bytes: each(1),
    bytesInAll: streams * each(streams),
  };
  if (!Object.values(bytes).every(Number.isSafeInteger)) {
    throw new RangeError(
      `Cannot plan ${streams} conversations of ${shape.layers} layers with ${shape.kvHeads} heads ` +
        `of ${shape.headDim} values: that is more bytes than can be counted`,
    );
  }
  return { ...bytes, fit: mostSlots(memory, each) };
}

/**
 * Most slots that fit into a memory, when each takes `each(slots)`, which does not fall; 0 if none
 * does. (The allocator's `fittingSlots` and `slotsIn` throw then; else they give the same.)
 */
function mostSlots(memory: number, each: (slots: number) => number): number {
  let fits = 0;
  let most = Math.floor(memory / each(1));
  while (fits < most) {
    const slots = Math.ceil((fits + most) / 2);
    if (slots * each(slots) <= memory) fits = slots;
    else most = slots - 1;
  }
  return fits;
}
