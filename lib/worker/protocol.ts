/**
 * What the main thread and the thread of the model say to each other.
 *
 * @module
 */
import type {
  GenerationEvent,
  GenerationRequest,
  ModelState,
} from "../chat/chat_model.ts";
import type { Config } from "../config.ts";
import type { CacheSetup } from "../plan/cache_setup.ts";
import type { PlainError } from "./plain_error.ts";

/** What the main thread asks of a loaded model; `id` is the asker's number for it. */
export type Question =
  | { type: "generate"; id: number; request: GenerationRequest }
  | { type: "cancel"; id: number }
  | { type: "state"; id: number };

/** What the main thread says: first `load`, last `stop`. */
export type Command =
  | { type: "load"; config: Config }
  | Question
  | { type: "stop" };

/** What the model's thread says of one question. After `done`, `error` and `state` nothing follows. */
export type Answer =
  | { type: "event"; id: number; event: GenerationEvent }
  | { type: "done"; id: number }
  | { type: "error"; id: number; error: PlainError }
  | { type: "state"; id: number; state: ModelState };

/** What the model's thread says. */
export type Report =
  | {
    type: "ready";
    id: string;
    created: number;
    caches: CacheSetup;
    description: string;
  }
  /** It could not be loaded. */
  | { type: "failed"; error: PlainError }
  | { type: "answers"; answers: Answer[] }
  /** Something was thrown that nothing caught: no more answers come. */
  | { type: "crashed"; error: PlainError }
  /** The model's memory was given back, after `stop` or a crash: the thread can be ended. */
  | { type: "stopped" };
