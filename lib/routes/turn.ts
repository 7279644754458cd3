/**
 * One answer being generated, as routes need it: wait for the next event for so long, and stop.
 * A plain `for await` cannot do either, since it is deaf while the model is at work.
 *
 * @module
 */
import type { GenerationEvent } from "../chat/chat_model.ts";

type Step = IteratorResult<GenerationEvent, void>;

/** A model's answer, read event by event by one reader. */
export class Turn {
  #events: AsyncGenerator<GenerationEvent, void, void>;
  #report: (error: unknown) => void;
  #pending: Promise<Step> | null = null;
  #over = false;
  #wake = (): void => {};

  /**
   * @param events the model's answer, not begun yet
   * @param report told of errors that come when nobody waits any more
   */
  constructor(
    events: AsyncGenerator<GenerationEvent, void, void>,
    report: (error: unknown) => void,
  ) {
    this.#events = events;
    this.#report = report;
  }

  /** Whether the answer has ended, failed or been closed: nothing more comes. */
  get over(): boolean {
    return this.#over;
  }

  /**
   * Waits at most this many milliseconds for the next event, without taking it.
   *
   * @returns whether {@linkcode next} would answer at once
   * @throws what the model threw
   */
  async arrives(within: number): Promise<boolean> {
    if (this.#over) return true;
    return await this.#wait(within) !== undefined || this.#over;
  }

  /**
   * Takes the next event, `undefined` once there are no more.
   *
   * @throws what the model threw, or `Error` if it stops without an `end` event
   */
  async next(): Promise<GenerationEvent | undefined> {
    if (this.#over) return undefined;
    const step = await this.#wait();
    this.#pending = null;
    if (step === undefined) return undefined;
    if (step.done) {
      this.#over = true;
      throw new Error("the model's answer stopped without an end event");
    }
    if (step.value.type === "end") this.#drain();
    return step.value;
  }

  /** Stops the model, unless the answer is over. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pending?.catch(this.#report);
    this.#events.return().catch(this.#report);
    this.#wake();
  }

  /** Waits for the pending step; `undefined` when time is up or the turn is closed. */
  #wait(within?: number): Promise<Step | undefined> {
    const pending = this.#pending ??= this.#events.next();
    return new Promise((resolve, reject) => {
      const timer = within === undefined
        ? undefined
        : setTimeout(() => resolve(undefined), within);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
      pending.then((step) => {
        clearTimeout(timer);
        resolve(step);
      }, (error) => {
        clearTimeout(timer);
        this.#over = true;
        reject(error);
      });
    });
  }

  /** Lets the model finish what it does after its last event: it was not cancelled. */
  #drain(): void {
    this.#over = true;
    this.#events.next().then((step) => {
      if (!step.done) return this.#events.return();
    }).catch(this.#report);
  }
}
