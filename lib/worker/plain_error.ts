/**
 * Errors as plain data: structured cloning keeps neither their class nor their fields.
 *
 * @module
 */
import {
  RequestError,
  type UnavailableCode,
  UnavailableError,
} from "../chat/chat_model.ts";
import { NotHeldError } from "../chat/thread.ts";
import type { SnapshotKey } from "../store/snapshots.ts";

/** An error that can be posted to another thread. */
export type PlainError =
  | { kind: "request"; message: string; param: string | null }
  | {
    kind: "unavailable";
    message: string;
    code: UnavailableCode;
    retryAfter: number;
  }
  | { kind: "not-held"; key: SnapshotKey }
  | { kind: "other"; name: string; message: string; stack: string };

/**
 * What of an error is posted.
 *
 * @example There and back
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import { RequestError } from "../chat/chat_model.ts";
 * import { fromPlainError, toPlainError } from "./plain_error.ts";
 *
 * const plain = toPlainError(new RequestError("There is no such token", "logit_bias"));
 * const error = fromPlainError(structuredClone(plain));
 * assert(error instanceof RequestError);
 * assertEquals(error.param, "logit_bias");
 * ```
 */
export function toPlainError(thrown: unknown): PlainError {
  if (thrown instanceof RequestError) {
    return { kind: "request", message: thrown.message, param: thrown.param };
  }
  if (thrown instanceof UnavailableError) {
    const { message, code, retryAfter } = thrown;
    return { kind: "unavailable", message, code, retryAfter };
  }
  if (thrown instanceof NotHeldError) {
    return { kind: "not-held", key: thrown.key };
  }
  const { name, message, stack = "" } = thrown instanceof Error
    ? thrown
    : new Error(String(thrown));
  return { kind: "other", name, message, stack };
}

/** The error again: of the same class if it is for the client, else one that is for the log. */
export function fromPlainError(plain: PlainError): Error {
  switch (plain.kind) {
    case "request":
      return new RequestError(plain.message, plain.param);
    case "unavailable":
      return new UnavailableError(plain.code, plain.message, plain.retryAfter);
    case "not-held":
      return new NotHeldError(plain.key);
    case "other": {
      const error = new Error(plain.message);
      error.name = plain.name;
      error.stack = plain.stack;
      return error;
    }
  }
}
