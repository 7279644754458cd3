/**
 * A model that runs in another thread, as this thread sees it.
 *
 * @module
 */
import { cancellable } from "../chat/cancellable.ts";
import type {
  ChatModel,
  CountRequest,
  GenerationEvent,
  GenerationRequest,
  ModelState,
} from "../chat/chat_model.ts";
import type { ThreadCopy, ThreadName } from "../chat/thread.ts";
import { Inbox } from "./inbox.ts";
import { fromPlainError } from "./plain_error.ts";
import type { Answer, Question } from "./protocol.ts";

/** A question that has one answer. */
type Plain = Exclude<Question, { type: "generate" | "cancel" }>;
type PlainAnswer<Type extends Plain["type"]> = Extract<
  Answer,
  { type: Type }
>;

/** Puts questions to a model's thread and sorts its answers by question. */
export class RemoteModel implements ChatModel {
  readonly id: string;
  readonly created: number;
  readonly #ask: (question: Question) => void;
  /** Answers that are not over; `null` ends one. */
  readonly #inboxes = new Map<number, Inbox<GenerationEvent | null>>();
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  #questions = 0;
  #closed: (() => Error) | null = null;

  /** @param ask posts a question to the model's thread */
  constructor(
    { id, created }: Pick<ChatModel, "id" | "created">,
    ask: (question: Question) => void,
  ) {
    this.id = id;
    this.created = created;
    this.#ask = ask;
  }

  generate(
    request: GenerationRequest,
  ): AsyncGenerator<GenerationEvent, void, void> {
    return cancellable((signal) => this.#answer(request, signal));
  }

  async *#answer(
    request: GenerationRequest,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, void> {
    if (this.#closed) throw this.#closed();
    const id = this.#questions++;
    const inbox = new Inbox<GenerationEvent | null>();
    signal.addEventListener("abort", () => inbox.fail(signal.reason));
    this.#inboxes.set(id, inbox);
    try {
      this.#ask({ type: "generate", id, request });
      for (;;) {
        const event = await inbox.take();
        if (event === null) return;
        yield event;
      }
    } finally {
      // The inbox of an answer that is over was taken away already.
      if (this.#inboxes.delete(id)) this.#ask({ type: "cancel", id });
    }
  }

  async state(): Promise<ModelState> {
    return (await this.#answerTo((id) => ({ type: "state", id }))).state;
  }

  async count(request: CountRequest): Promise<number> {
    const answer = await this.#answerTo((id) => ({
      type: "count",
      id,
      request,
    }));
    return answer.tokens;
  }

  async copy(of: ThreadName): Promise<ThreadCopy | null> {
    return (await this.#answerTo((id) => ({ type: "copy", id, of }))).copy;
  }

  async #answerTo<Q extends Plain>(
    question: (id: number) => Q,
  ): Promise<PlainAnswer<Q["type"]>> {
    if (this.#closed) throw this.#closed();
    const id = this.#questions++;
    const answer = Promise.withResolvers<Answer>();
    this.#waiting.set(id, answer);
    this.#ask(question(id));
    return await answer.promise as PlainAnswer<Q["type"]>;
  }

  /** Takes what the model's thread answered; what nobody waits for any more is dropped. */
  receive(answers: readonly Answer[]): void {
    for (const answer of answers) this.#receive(answer);
  }

  #receive(answer: Answer): void {
    const { id } = answer;
    const inbox = this.#inboxes.get(id);
    if (answer.type === "event") return inbox?.push(answer.event);
    const waiting = this.#waiting.get(id);
    this.#inboxes.delete(id);
    this.#waiting.delete(id);
    switch (answer.type) {
      case "done":
        return inbox?.push(null);
      case "error": {
        const error = fromPlainError(answer.error);
        inbox?.fail(error);
        return waiting?.reject(error);
      }
      default:
        return waiting?.resolve(answer);
    }
  }

  /** Fails all that is not answered yet, and all that will be asked. */
  close(error: () => Error): void {
    if (this.#closed) return;
    this.#closed = error;
    for (const inbox of this.#inboxes.values()) inbox.fail(error());
    for (const waiting of this.#waiting.values()) waiting.reject(error());
    this.#inboxes.clear();
    this.#waiting.clear();
  }
}
