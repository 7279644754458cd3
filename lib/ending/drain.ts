/**
 * What is under way in a server, so that it can end well: nothing new begins, what runs may come to
 * its end for a while, the rest is ended with an error that its client reads.
 *
 * @module
 */
import { answeringBy } from "../chat/answering_model.ts";
import type {
  ChatModel,
  GenerationEvent,
  GenerationRequest,
} from "../chat/chat_model.ts";
import { serverStopping } from "../openai/errors.ts";

type Events = AsyncGenerator<GenerationEvent, void, void>;

/** The requests and answers of one server. */
export class Drain {
  #draining = false;
  #stopped = false;
  #running = 0;
  #wake = (): void => {};
  readonly #answers = new Set<EndableAnswer>();

  /** Whether nothing new may begin. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Something began; call what is given when it has ended. */
  enter(): () => void {
    this.#running++;
    return () => {
      if (--this.#running === 0) this.#wake();
    };
  }

  /** Lets nothing new begin. */
  begin(): void {
    this.#draining = true;
  }

  /** Resolves when nothing runs any more, or these milliseconds are over; tells which. */
  async idle(within: number): Promise<boolean> {
    if (this.#running > 0 && within > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, within);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.#running === 0;
  }

  /** Ends all answers with an error. */
  stop(): void {
    this.#stopped = true;
    for (const answer of this.#answers) answer.stop();
  }

  /** The same model, whose answers {@linkcode stop} ends. */
  endable(model: ChatModel): ChatModel {
    return answeringBy(model, (request) => this.#endable(model, request));
  }

  #endable(model: ChatModel, request: GenerationRequest): Events {
    const answer = new EndableAnswer(model.generate(request), () => {
      if (this.#stopped) throw serverStopping();
      const leave = this.enter();
      this.#answers.add(answer);
      return () => {
        this.#answers.delete(answer);
        leave();
      };
    });
    return answer;
  }
}

/** Events that can be ended from outside, a pending step too. */
class EndableAnswer implements Events {
  readonly #events: Events;
  readonly #enter: () => () => void;
  /** What to call when it is over; `null` before it has begun. */
  #left: (() => void) | null = null;
  #stopped = false;
  #fail = (_: Error): void => {};

  /** @param enter called when the answer begins, and what it gives when it is over */
  constructor(events: Events, enter: () => () => void) {
    this.#events = events;
    this.#enter = enter;
  }

  async next(): Promise<IteratorResult<GenerationEvent, void>> {
    this.#left ??= this.#enter();
    if (this.#stopped) throw serverStopping();
    try {
      const step = await this.#step();
      if (step.done) this.#leave();
      return step;
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** A step that `stop()` fails. A race with one promise for all steps would gather reactions. */
  #step(): Promise<IteratorResult<GenerationEvent, void>> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#events.next().then(resolve, reject);
    });
  }

  return(): Promise<IteratorResult<GenerationEvent, void>> {
    this.#leave();
    return this.#events.return();
  }

  throw(error: unknown): Promise<IteratorResult<GenerationEvent, void>> {
    this.#leave();
    return this.#events.throw(error);
  }

  /** Ends the answer: its pending step, or its next one, fails. */
  stop(): void {
    this.#stopped = true;
    this.#fail(serverStopping());
    this.return().catch(() => {}); // its reader was told already
  }

  [Symbol.asyncIterator](): Events {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #leave(): void {
    this.#left?.();
    this.#left = () => {};
  }
}
