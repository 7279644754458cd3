/**
 * What the main thread and the thread of the model say to each other.
 *
 * @module
 */
import type {
  ChatModel,
  GenerationEvent,
  GenerationRequest,
} from "../chat/chat_model.ts";
import type { Config } from "../config.ts";
import type { CacheSetup } from "../plan/cache_setup.ts";
import type { PlainError } from "./plain_error.ts";

/** What the main thread asks of a loaded model; `id` is the asker's number for it. */
export type Question =
  | { type: "generate"; id: number; request: GenerationRequest }
  | { type: "cancel"; id: number }
  | { [Name in keyof Methods]: Call<Name> }[keyof Methods];

/** The model's methods that give one value. */
export type Methods = Pick<
  ChatModel,
  "state" | "encode" | "decode" | "count" | "copy"
>;

/** What such a method is asked. */
export interface Call<Name extends keyof Methods> {
  type: Name;
  id: number;
  args: Parameters<Methods[Name]>;
}

/** What such a method gives. */
export type Value<Name extends keyof Methods> = Awaited<
  ReturnType<Methods[Name]>
>;

/** What the model's thread says of one of them. */
export interface Returned<Name extends keyof Methods> {
  type: "value";
  of: Name;
  id: number;
  value: Value<Name>;
}

/** What the main thread says: first `load`, last `stop`. */
export type Command =
  | { type: "load"; config: Config }
  | Question
  | { type: "stop" };

/** What the model's thread says of one question. After `done`, `error` and `value` nothing follows. */
export type Answer =
  | { type: "event"; id: number; event: GenerationEvent }
  | { type: "done"; id: number }
  | { type: "error"; id: number; error: PlainError }
  | { [Name in keyof Methods]: Returned<Name> }[keyof Methods];

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

/** The memory that a message hands over rather than copies: a cache's, which can be large. */
export function transferredBy(message: Command | Report): ArrayBuffer[] {
  if (message.type === "generate") {
    const snapshot = message.request.thread?.from?.log?.snapshot;
    return snapshot ? [snapshot.buffer] : [];
  }
  if (message.type !== "answers") return [];
  return message.answers.flatMap((answer) =>
    answer.type === "value" && answer.of === "copy" && answer.value
      ? [answer.value.bytes.buffer]
      : []
  );
}
