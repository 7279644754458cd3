/**
 * One decoder, many conversations: each asks for its next step and waits; the queue takes all that
 * wait into one run, in the order they came, and then looks again. A conversation that is not
 * waiting costs nothing, and none can get ahead of another by more than one step.
 *
 * @module
 */
import type { DecodeChunk, Decoder } from "../decoder/decoder.ts";

interface Step {
  readonly chunk: DecodeChunk;
  readonly done: PromiseWithResolvers<Float32Array>;
}

/** Runs steps one batch after another. */
export class StepQueue {
  readonly #decoder: Decoder;
  #waiting: Step[] = [];
  #running = false;

  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  /**
   * Appends a chunk; resolves to its wanted logits.
   *
   * @param signal takes a step that has not begun out of the queue
   * @throws {Error} if the decoder fails, or `signal`'s reason if it is aborted before the step
   */
  run(chunk: DecodeChunk, signal: AbortSignal): Promise<Float32Array> {
    const step: Step = { chunk, done: Promise.withResolvers() };
    signal.throwIfAborted();
    const leave = () => {
      const index = this.#waiting.indexOf(step);
      if (index < 0) return; // it has begun: its result is dropped by whoever aborted
      this.#waiting.splice(index, 1);
      step.done.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.push(step);
    this.#start();
    return step.done.promise.finally(() =>
      signal.removeEventListener("abort", leave)
    );
  }

  async #start(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    // One turn of the event loop before each batch: conversations that just got a token ask again,
    // and sockets are served, since a run may keep this thread busy.
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      const batch = this.#waiting.splice(0);
      if (batch.length === 0) break;
      await this.#runBatch(batch);
    }
    this.#running = false;
  }

  async #runBatch(batch: readonly Step[]): Promise<void> {
    for (const step of batch) {
      try {
        const [logits] = await this.#decoder.run([step.chunk]);
        step.done.resolve(logits!);
      } catch (error) {
        step.done.reject(error);
      }
    }
  }
}
