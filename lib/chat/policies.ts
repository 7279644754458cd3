/** What a conversation's cache keeps, from a request and what the server offers. @module */
import {
  choosePolicy,
  type Eviction,
  type Policy,
  PolicyError,
  type PolicyName,
  type PolicyOffer,
  type PolicyRequest,
} from "../cache/policy.ts";
import type { Setup } from "../store/records.ts";
import { RequestError } from "./chat_model.ts";

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
  const { name: policy, sinks, window, evict } = setup.policy as unknown as {
    name: PolicyName;
    sinks: number;
    window: number;
    evict: Eviction;
  };
  const was = { policy, sinks, window, evict };
  for (const field of ["policy", "sinks", "window", "evict"] as const) {
    if (request[field] === undefined || request[field] === was[field]) continue;
    throw new RequestError(
      `The conversation was begun with ${field} ${
        was[field]
      }, and keeps that: leave it out`,
      `everstream.${field}`,
    );
  }
  return policyFor(
    { policy, window, evict: policy === "full" ? undefined : evict },
    { ...offer, sinks, window },
  );
}
