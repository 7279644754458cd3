/**
 * Answers another thread's questions with a model of this one.
 *
 * @module
 */
import type { ChatModel, GenerationEvent } from "../chat/chat_model.ts";
import { toPlainError } from "./plain_error.ts";
import type { Answer, Question } from "./protocol.ts";

/** Runs each answer to its end as fast as the model gives it, whoever reads it. */
export class ModelServer {
  readonly #model: ChatModel;
  readonly #post: (answers: Answer[]) => void;
  readonly #running = new Map<number, AsyncGenerator<GenerationEvent>>();
  #outgoing: Answer[] = [];

  /** @param post sends answers to who asked */
  constructor(model: ChatModel, post: (answers: Answer[]) => void) {
    this.#model = model;
    this.#post = post;
  }

  /**
   * Takes a question; what comes of it is posted.
   *
   * @throws {WebAssembly.RuntimeError} if the model's engine trapped: it cannot be used again
   */
  async receive(question: Question): Promise<void> {
    const { id } = question;
    try {
      switch (question.type) {
        case "generate":
          return await this.#generate(
            id,
            this.#model.generate(question.request),
          );
        case "cancel":
          return void await this.#running.get(id)?.return(undefined);
        case "count":
          return this.#send({
            type: "value",
            of: "count",
            id,
            value: await this.#model.count(...question.args),
          });
        case "copy":
          return this.#send({
            type: "value",
            of: "copy",
            id,
            value: await this.#model.copy(...question.args),
          });
        case "state":
          return this.#send({
            type: "value",
            of: "state",
            id,
            value: await this.#model.state(),
          });
        case "encode":
          return this.#send({
            type: "value",
            of: "encode",
            id,
            value: await this.#model.encode(...question.args),
          });
        case "decode":
          return this.#send({
            type: "value",
            of: "decode",
            id,
            value: await this.#model.decode(...question.args),
          });
      }
    } catch (error) {
      // A module that trapped answers nobody ever again: the thread has to go.
      if (error instanceof WebAssembly.RuntimeError) throw error;
      this.#send({ type: "error", id, error: toPlainError(error) });
    }
  }

  async #generate(
    id: number,
    events: AsyncGenerator<GenerationEvent>,
  ): Promise<void> {
    this.#running.set(id, events);
    try {
      for await (const event of events) {
        this.#send({ type: "event", id, event });
      }
      this.#send({ type: "done", id });
    } finally {
      this.#running.delete(id);
    }
  }

  /** Cancels all that runs; resolves once it has ended. */
  async cancelAll(): Promise<void> {
    const ends = [...this.#running.values()].map((e) => e.return(undefined));
    await Promise.allSettled(ends);
  }

  /**
   * One message for all that a step gives: its answers go on in microtasks of one turn of the event
   * loop, and none waits for the next turn, which may be a step of many milliseconds.
   */
  #send(answer: Answer): void {
    this.#outgoing.push(answer);
    if (this.#outgoing.length > 1) return;
    queueMicrotask(() => {
      const answers = this.#outgoing;
      this.#outgoing = [];
      this.#post(answers);
    });
  }
}
