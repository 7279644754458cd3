/** What the chat service knows of a request: before it has a slot, while it is answered, and after. @module */
import type { Policy } from "../cache/policy.ts";
import type { Sampler } from "../sampling/mod.ts";
import type { CacheLane } from "./cache_lane.ts";
import type { ConversationLog, Overlap } from "./conversation_log.ts";
import type { Resumed, ThreadRequest } from "./thread.ts";

/** A conversation between its answers. */
export interface Memory {
  readonly owner: string;
  /** Of a thread; `null`: it is known by its text. */
  readonly state: string | null;
  readonly log: ConversationLog;
  readonly policy: Policy;
  /** Tokens of the log that the decoder has not been given yet. */
  readonly pending: readonly number[];
}

/** No overlap. */
export const NOTHING: Overlap = { tokens: 0, length: 0 };

/** What a request comes to before it has a slot. */
export interface Prompt {
  readonly thread: ThreadRequest | null;
  /** Canonical text of it all; of a thread, of what is new. */
  readonly text: string;
  /** UTF-16 units of it that are the system block; 0 if there is none. */
  readonly block: number;
  /** Its tokens, where they were given; else they are the text's. */
  readonly tokens: readonly number[] | null;
  /** The request's parameter that it is from. */
  readonly param: "messages" | "prompt";
  /** Names its beginning among those that are shared: all of it but the last token, or the block. */
  readonly shared: { readonly whole: boolean; readonly key: string };
  readonly policy: Policy;
  /** Where such caches are. */
  readonly lane: CacheLane<Memory>;
  readonly sampler: Sampler;
}

/** One answer under way. */
export interface Turn extends Prompt {
  readonly owner: string;
  readonly slot: number;
  readonly log: ConversationLog;
  readonly signal: AbortSignal;
  /** What of the prompt the slot had already. */
  readonly kept: Overlap;
  /** Tokens that the slot needs before the rest of the prompt. */
  readonly pending: readonly number[];
  /** What the log was when the turn began. */
  readonly base: {
    readonly tokens: number;
    readonly starts: readonly number[];
  };
  /** Where a thread was found; `null`: the conversation begins here, or is no thread. */
  readonly resumed: Resumed | null;
  /** What of a thread must be computed again first, run by run. */
  readonly replay: readonly (readonly number[])[];
  /** Tokens that the turn has added to the log. */
  readonly added: number[];
  /** Sizes of the prompt's runs. */
  readonly runs: number[];
}
