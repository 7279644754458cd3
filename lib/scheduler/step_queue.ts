/**
 * One decoder, many conversations: each asks for its next step and waits; the queue takes all that
 * wait into one run, in the order they came, and then looks again. A conversation that is not
 * waiting costs nothing, and none can get ahead of another by more than one step.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { DecodeChunk, Decoder } from "../decoder/decoder.ts";

interface Step {
  readonly chunk: DecodeChunk;
  readonly done: PromiseWithResolvers<Float32Array>;
  /** Once it has begun it is run to its end; one that has left before is passed over. */
  state: "waiting" | "begun" | "left";
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
    const step: Step = {
      chunk,
      done: Promise.withResolvers(),
      state: "waiting",
    };
    signal.throwIfAborted();
    const leave = () => {
      if (step.state === "begun") return; // its result is dropped by whoever aborted
      step.state = "left";
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
    // and sockets are served, since a run may keep this thread busy. (A timer of 0 ms takes 2.)
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const batch = this.#waiting.splice(0);
      if (batch.length === 0) break;
      await this.#runBatch(batch);
    }
    this.#running = false;
  }

  async #runBatch(batch: readonly Step[]): Promise<void> {
    for (const step of batch) {
      if (step.state === "left") continue;
      step.state = "begun";
      try {
        const [logits] = await this.#decoder.run([step.chunk]);
        step.done.resolve(logits!);
      } catch (error) {
        step.done.reject(error);
      }
    }
  }
}
