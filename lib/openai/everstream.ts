/** The parameter that is ours: what a conversation's cache keeps. @module */
import { z } from "zod";
import { KV_BITS } from "../cache/cache_format.ts";
import {
  EVICTIONS,
  POLICY_NAMES,
  type PolicyRequest,
} from "../cache/policy.ts";
import { integer } from "./fields.ts";

/** What `everstream` may be. */
export const everstreamSchema = z.strictObject({
  policy: z.enum(POLICY_NAMES, `one of ${POLICY_NAMES.join(", ")}`).nullish(),
  sinks: integer(0, "an integer of 0 or more"),
  window: integer(1, "a positive integer"),
  evict: z.enum(EVICTIONS, `one of ${EVICTIONS.join(", ")}`).nullish(),
  kv_bits: z.literal(KV_BITS, `one of ${KV_BITS.join(", ")}`).nullish(),
}, 'an object, as {"policy": "sink-window", "sinks": 4, "window": 1020}')
  .meta({ id: "CachePolicy" }).nullish();

/** The policy that is asked for; `undefined`: none. */
export function toPolicy(
  wire: z.infer<typeof everstreamSchema>,
): PolicyRequest | undefined {
  return wire
    ? {
      policy: wire.policy ?? undefined,
      sinks: wire.sinks ?? undefined,
      window: wire.window ?? undefined,
      evict: wire.evict ?? undefined,
      kvBits: wire.kv_bits ?? undefined,
    }
    : undefined;
}
