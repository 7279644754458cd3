/** The end of an answer that takes too long. @module */
import { UnavailableError } from "./chat_model.ts";

/** Aborts when time is up, or when another signal does. */
export class Deadline {
  readonly signal: AbortSignal;
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(milliseconds: number, other: AbortSignal) {
    const controller = new AbortController();
    this.signal = AbortSignal.any([controller.signal, other]);
    const seconds = milliseconds / 1000;
    this.#timer = setTimeout(() =>
      controller.abort(
        new UnavailableError(
          "answer_timeout",
          `The answer took ${seconds} s, as long as this server lets any: ask for fewer tokens, ` +
            `or again when it is less busy`,
          1,
        ),
      ), milliseconds);
  }

  /** Lets time run. */
  clear(): void {
    clearTimeout(this.#timer);
  }
}
