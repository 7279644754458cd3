/**
 * What the store keeps, as its callers see it. JSON is opaque here, but for the ids and the status
 * in it.
 *
 * @module
 */

/** An object of JSON. */
export type Json = { readonly [name: string]: unknown };

/** What of a list can be found again by its id: a message, a call of a tool, … */
export type Item = Json & { readonly id: string };

/** A response as the client sees it. */
export type ResponseBody = Json & {
  readonly id: string;
  readonly status: string;
};

/** An event of a response's stream; they are numbered from 0, without gaps. */
export type StreamEvent = Json & {
  readonly type: string;
  readonly sequence_number: number;
};

/** A conversation, without its items. */
export interface Conversation {
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  readonly metadata: Json;
}

/** A place in a token log: the end of a turn. */
export interface Position {
  /** The log. It and `turn` name nothing else ever after, even if they are erased. */
  readonly thread: number;
  readonly turn: number;
  /** The turn's place in its thread, from 1. */
  readonly number: number;
  /** Tokens of the log up to here. */
  readonly tokens: number;
}

/** A response, and how it can be continued. */
export interface StoredResponse {
  readonly body: ResponseBody;
  /** The conversation that it belongs to. */
  readonly conversation: string | null;
  /** Where it ends; `null` if nothing can continue from it: not a turn (yet, or any more). */
  readonly position: Position | null;
}

/** What a thread was begun with, and must be gone on with: what the same tokens mean the same in. */
export interface Setup {
  /** Hash of the model. */
  readonly model: string;
  /** The cache policy, with all that decides what a cache holds. */
  readonly policy: Json;
}

/** One turn's part of a token log. */
export interface LoggedTurn {
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Where messages begin and end in it, as it was given. */
  readonly boundaries: unknown;
}

/** What a cache is computed again from. */
export interface Log {
  readonly setup: Setup;
  readonly turns: LoggedTurn[];
}

/** What happened to something asked for by its id: changed, not there, or in a turn under way. */
export type Outcome = "done" | "missing" | "busy";
