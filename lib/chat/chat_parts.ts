/** What the chat service is made of. @module */
import type { Eviction, PolicyName } from "../cache/policy.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ModelCache } from "./cache_lane.ts";
import type { ChatTemplate } from "./template.ts";

/** Bounds of what a service takes upon itself. */
export interface ServiceLimits {
  /** Most tokens of one answer. */
  readonly maxTokens: number;
  /** Most requests that wait for a slot, of each kind of cache. */
  readonly queue: number;
  /** Milliseconds that a request waits for a slot at most. */
  readonly queueTimeout: number;
  /** Milliseconds that an answer takes at most, once it has its slot. */
  readonly answerTimeout: number;
  /** Most bytes of idle conversations moved out of their slots. */
  readonly swapBytes: number;
  /** Most bytes of shared beginnings. */
  readonly sharedBytes: number;
}

/** What the service is made of. */
export interface ChatParts {
  readonly id: string;
  /** The kinds of caches that there are, with the same room; the first is the standard. */
  readonly caches: readonly ModelCache[];
  /** Hash of the model's file, and what the rows of its caches are: what a snapshot must fit. */
  readonly fingerprint: { readonly model: string; readonly precision: string };
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Sinks of each conversation: a number, or the whole system block. */
  readonly sinks: number | "system";
  /** W: tokens of the window. */
  readonly window: number;
  /** What conversations may keep, and what they do if a request does not say. */
  readonly policies: {
    readonly standard: PolicyName;
    readonly allowed: readonly PolicyName[];
    readonly evict: Eviction;
  };
  readonly limits: ServiceLimits;
}
