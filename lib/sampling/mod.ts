/** How a token is chosen from logits, and how likely it was. @module */
export * from "./constrained_sampler.ts";
export * from "./logprobs.ts";
export * from "./options.ts";
export * from "./sampler.ts";
export * from "./summary.ts";
export * from "./token_mask.ts";
