/** What the routes are made of, and the two questions that each asks of it. @module */
import type { ChatModel } from "../chat/chat_model.ts";
import type { KeyRing } from "../access/keys.ts";
import type { RateLimits } from "../access/rate_limits.ts";
import type { Drain } from "../ending/drain.ts";
import type { RequestLine } from "../observe/log_requests.ts";
import type { Tracing } from "../observe/tracing.ts";
import type { CacheSetup } from "../plan/cache_setup.ts";
import type { Store } from "../store/store.ts";
import { modelFailed, modelLoading, modelNotFound } from "../openai/errors.ts";

/** What {@linkcode createApp} needs; all but `model` has a default. */
export interface AppParts {
  /** The loaded model, `null` until then. */
  model: () => ChatModel | null;
  /** What the loaded model's caches depend on; by default unknown, and then there are no plans. */
  caches?: () => CacheSetup | null;
  /** Why loading failed; `null` while it goes on or after it succeeded. Shown by `GET /health`. */
  loadError?: () => string | null;
  /** Milliseconds of silence between a stream's pings. Default 15,000. */
  pingInterval?: number;
  /**
   * Most events of an answer that wait for a client that reads slowly; past it the answer is ended
   * with an error. Default 1,024.
   */
  backlog?: number;
  /** Most bytes of a request's body. Default 8 MiB. */
  bodyLimit?: number;
  /** What lasts of conversations; `null`, the default: there are none, and no `/v1/responses`. */
  store?: Store | null;
  /** Told of every unexpected error. Default: writes it to stderr. */
  report?: (error: unknown, requestId: string) => void;
  /** The API keys that are admitted; `null`, the default, admits everybody. */
  keys?: Pick<KeyRing, "admits"> | null;
  /** What each key, or each address where there are no keys, may ask for. Default: no limits. */
  rates?: RateLimits;
  /** Origins whose pages may use the API, besides our own. Default: `"*"`, all. */
  origins?: "*" | readonly string[];
  /** Takes the line of each request when it has ended. Default: drops it. */
  log?: (line: RequestLine) => void;
  /** OpenTelemetry's spans. Default: `null`, none. */
  tracing?: Tracing | null;
  /** Knows what is under way, and ends it. */
  drain?: Drain;
}

/** {@linkcode AppParts} with every default filled in. */
export type Parts = Required<AppParts>;

/**
 * The loaded model.
 *
 * @throws {ApiError} 503 while there is none
 */
export function readyModel({ model, loadError }: Parts): ChatModel {
  const loaded = model();
  if (loaded) return loaded;
  throw loadError() === null ? modelLoading() : modelFailed();
}

/**
 * The loaded model, if `asked` names it by its id or as `default`.
 *
 * @throws {ApiError} 503 while there is none, 404 for another
 */
export function namedModel(parts: Parts, asked: string): ChatModel {
  const model = readyModel(parts);
  if (asked !== model.id && asked !== "default") {
    throw modelNotFound(asked, model.id);
  }
  return model;
}
