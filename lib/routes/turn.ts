/**
 * One answer being generated, between a model that must not wait for its reader and a reader that
 * may be slow: events are read as they come into a bounded backlog, and taken from there.
 *
 * @module
 */
import type { GenerationEvent } from "../chat/chat_model.ts";
import { clientTooSlow } from "../openai/errors.ts";

/** How an answer is read. */
export interface TurnOptions {
  /** Most events that may wait for the reader; one more, and the answer is ended. */
  backlog: number;
  /** Told of errors that come when nobody waits any more. */
  report: (error: unknown) => void;
}

type State =
  | { is: "running" | "complete" | "closed" }
  | { is: "failed"; error: unknown };

/** A model's answer, begun at once, for one reader. Its last event is of type `end`. */
export class Turn<Event extends { type: string } = GenerationEvent> {
  readonly #events: AsyncGenerator<Event, void, void>;
  readonly #options: TurnOptions;
  #backlog: Event[] = [];
  #state: State = { is: "running" };
  #wake = (): void => {};

  /** @param events the model's answer, not begun yet */
  constructor(
    events: AsyncGenerator<Event, void, void>,
    options: TurnOptions,
  ) {
    this.#events = events;
    this.#options = options;
    this.#read();
  }

  /** Whether nothing more comes: all was taken of an answer that has ended, or it was closed. */
  get over(): boolean {
    const { is } = this.#state;
    return is === "closed" || (is === "complete" && this.#backlog.length === 0);
  }

  /**
   * Waits for events, at most this many milliseconds if given.
   *
   * @returns whether there are events to {@linkcode take}, or none will come: then it is {@linkcode over}
   * @throws {ApiError} if the reader was too slow, once it has taken what waited
   * @throws what the model threw, likewise, or `Error` if it stopped without an `end` event
   */
  async arrives(within?: number): Promise<boolean> {
    if (!this.#settled) await this.#change(within);
    if (this.#state.is === "failed" && this.#backlog.length === 0) {
      throw this.#state.error;
    }
    return this.#settled;
  }

  /** Takes all events that wait, in order. */
  take(): Event[] {
    const events = this.#backlog;
    this.#backlog = [];
    return events;
  }

  /** Drops what waits, and stops the model if it is still at work. */
  close(): void {
    const { is } = this.#state;
    this.#state = { is: "closed" };
    this.#backlog = [];
    if (is === "running") this.#stop();
    this.#wake();
  }

  get #settled(): boolean {
    return this.#backlog.length > 0 || this.#state.is !== "running";
  }

  /** Resolves when the backlog or the state has changed, or time is up. */
  #change(within?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = within === undefined
        ? undefined
        : setTimeout(resolve, within);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const step = await this.#events.next();
        if (this.over) return;
        if (step.done) {
          throw new Error("the model's answer stopped without an end event");
        }
        this.#add(step.value);
        if (step.value.type === "end") break;
      }
      // What the model does after its last event: it was not cancelled.
      if (!(await this.#events.next()).done) this.#stop();
    } catch (error) {
      this.#fail(error);
    }
  }

  #add(event: Event): void {
    this.#backlog.push(event);
    if (event.type === "end") {
      this.#state = { is: "complete" };
    } else if (this.#backlog.length > this.#options.backlog) {
      this.#stop();
      throw clientTooSlow(this.#options.backlog);
    }
    this.#wake();
  }

  #fail(error: unknown): void {
    if (this.#state.is !== "running") return this.#options.report(error);
    this.#state = { is: "failed", error };
    this.#wake();
  }

  #stop(): void {
    this.#events.return().catch(this.#options.report);
  }
}
