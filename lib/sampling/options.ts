/** How a token is chosen from logits, and what is told of it. Every field is validated at the edge. @module */

/** Options of the sampler, as the OpenAI and llama.cpp APIs name them. */
export interface SamplingOptions {
  /** 0 is greedy; 1 leaves the distribution as it is. Default 1. */
  temperature?: number | undefined;
  /** Keep only the k most likely tokens; 0 keeps all. */
  topK?: number | undefined;
  /** Keep the smallest set of tokens whose probabilities add up to p; 1 keeps all. */
  topP?: number | undefined;
  /** Keep tokens at least this likely relative to the most likely one; 0 keeps all. */
  minP?: number | undefined;
  /** CTRL's divisor for logits of tokens seen before (prompt or answer); 1 is off. */
  repetitionPenalty?: number | undefined;
  /** Subtracted once from the logits of tokens already in the answer; 0 is off. */
  presencePenalty?: number | undefined;
  /** Subtracted from a token's logit for each time it is in the answer; 0 is off. */
  frequencyPenalty?: number | undefined;
  /** Added to the logits of these token ids (-100 … 100). */
  logitBias?: ReadonlyMap<number, number> | undefined;
  /** The same seed, prompt and options give the same text. */
  seed?: number | undefined;
}

/** Options of a sampler: how it chooses, and what it tells beside each token. */
export interface SamplerOptions extends SamplingOptions {
  /** Tell the log probability of each chosen token, and those of this many of the most likely ones. */
  topLogprobs?: number | undefined;
}
