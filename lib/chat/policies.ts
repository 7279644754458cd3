/** What a conversation's cache keeps, from a request and what the server offers. @module */
import {
  choosePolicy,
  type Policy,
  PolicyError,
  type PolicyOffer,
  type PolicyRequest,
} from "../cache/policy.ts";
import type { Setup } from "../store/records.ts";
import { RequestError } from "./chat_model.ts";
import type { SetupPolicy } from "./thread.ts";

/** @throws {RequestError} if there is no such policy to be had */
export function policyFor(request: PolicyRequest, offer: PolicyOffer): Policy {
  try {
    return choosePolicy(request, offer);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new RequestError(error.message, `everstream.${error.field}`);
  }
}

/**
 * The policy that a thread was begun with, which a request may name but not change.
 *
 * @param offer.model hash of the model that is to go on with it
 * @throws {RequestError} if it was begun with another model or policy, or that is not offered any more
 */
export function threadPolicy(
  setup: Setup,
  request: PolicyRequest = {},
  { model, ...offer }: Omit<PolicyOffer, "sinks" | "window"> & {
    model: string;
  },
): Policy {
  if (setup.model !== model) {
    throw new RequestError(
      "The conversation was begun with another model, whose tokens mean nothing to this one: " +
        "begin a new one",
    );
  }
  const was = setup.policy as unknown as SetupPolicy;
  const { name: policy, sinks, window, evict, kvBits } = was;
  for (
    const [field, asked, is] of [
      ["policy", request.policy, policy],
      ["sinks", request.sinks, sinks],
      ["window", request.window, window],
      ["evict", request.evict, evict],
      ["kv_bits", request.kvBits, kvBits],
    ]
  ) {
    if (asked === undefined || asked === is) continue;
    throw new RequestError(
      `The conversation was begun with ${field} ${is}, and keeps that: leave it out`,
      `everstream.${field}`,
    );
  }
  return policyFor(
    { policy, window, evict: policy === "full" ? undefined : evict, kvBits },
    { ...offer, sinks, window },
  );
}
