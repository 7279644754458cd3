/**
 * What is told of one request when it has ended: counts and codes, never content. Filled in by
 * whoever comes to know it, wherever the request's work has led.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { RequestIdVariables } from "hono/request-id";
import { toApiError } from "../openai/errors.ts";

/** What the routes' contexts hold: hono's request id, and the record. */
export type RecordVariables = RequestIdVariables & { record: RequestRecord };

/** What one request has cost, and how it ended. */
export class RequestRecord {
  /** Tokens of the model's answers to it; `null` if it was not asked. */
  tokens: { prompt: number; cached: number; completion: number } | null = null;
  /** Why the last of its answers ended by itself. */
  finishReason: string | null = null;
  /** The code of what went wrong. */
  error: string | null = null;
  /** Told how many tokens were computed, as they are. */
  onComputed: (tokens: number) => void = () => {};
  readonly #atEnd: (() => void)[] = [];

  /** A prompt is about to be read. */
  started(prompt: number, cached: number): void {
    const tokens = this.#counts();
    tokens.prompt += prompt;
    tokens.cached += cached;
    this.onComputed(prompt - cached);
  }

  /** Tokens were generated. */
  generated(tokens: number): void {
    this.#counts().completion += tokens;
    this.onComputed(tokens);
  }

  /** Has this called when the request has ended, its stream included. */
  atEnd(call: () => void): void {
    this.#atEnd.push(call);
  }

  /** The request has ended; said once or more often. */
  ended(): void {
    for (const call of this.#atEnd.splice(0)) call();
  }

  /** Something went wrong. */
  failed(error: unknown): void {
    this.error = toApiError(error).body.error.code;
  }

  #counts() {
    return this.tokens ??= { prompt: 0, cached: 0, completion: 0 };
  }
}

const CURRENT = new AsyncLocalStorage<RequestRecord>();

/** The record of the request that this code runs for, if it does for one. */
export function currentRecord(): RequestRecord | undefined {
  return CURRENT.getStore();
}

/** Runs code, and all that it calls and awaits, for the request of this record. */
export function runWithRecord<T>(record: RequestRecord, code: () => T): T {
  return CURRENT.run(record, code);
}
