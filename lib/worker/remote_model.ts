/**
 * A model that runs in another thread, as this thread sees it.
 *
 * @module
 */
import { cancellable } from "../chat/cancellable.ts";
import type {
  ChatModel,
  EncodedPrompt,
  GenerationEvent,
  GenerationRequest,
  ModelState,
} from "../chat/chat_model.ts";
import type { ThreadCopy } from "../chat/thread.ts";
import { Inbox } from "../chat/inbox.ts";
import { fromPlainError } from "./plain_error.ts";
import type { Answer, Methods, Question, Value } from "./protocol.ts";

/** Puts questions to a model's thread and sorts its answers by question. */
export class RemoteModel implements ChatModel {
  readonly id: string;
  readonly created: number;
  readonly #ask: (question: Question) => void;
  /** Answers that are not over; `null` ends one. */
  readonly #inboxes = new Map<number, Inbox<GenerationEvent | null>>();
  readonly #values = new Map<
    number,
    PromiseWithResolvers<Value<keyof Methods>>
  >();
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

  state(): Promise<ModelState> {
    return this.#call("state", []);
  }

  encode(...args: Parameters<ChatModel["encode"]>): Promise<EncodedPrompt> {
    return this.#call("encode", args);
  }

  decode(...args: Parameters<ChatModel["decode"]>): Promise<string> {
    return this.#call("decode", args);
  }

  count(...args: Parameters<ChatModel["count"]>): Promise<number> {
    return this.#call("count", args);
  }

  copy(...args: Parameters<ChatModel["copy"]>): Promise<ThreadCopy | null> {
    return this.#call("copy", args);
  }

  #call<Name extends keyof Methods>(
    type: Name,
    args: Parameters<Methods[Name]>,
  ): Promise<Value<Name>> {
    if (this.#closed) return Promise.reject(this.#closed());
    const id = this.#questions++;
    const value = Promise.withResolvers<Value<keyof Methods>>();
    this.#values.set(id, value);
    this.#ask({ type, id, args } as Question);
    return value.promise as Promise<Value<Name>>;
  }

  /** Takes what the model's thread answered; what nobody waits for any more is dropped. */
  receive(answers: readonly Answer[]): void {
    for (const answer of answers) this.#receive(answer);
  }

  #receive(answer: Answer): void {
    const { id } = answer;
    const inbox = this.#inboxes.get(id);
    if (answer.type === "event") return inbox?.push(answer.event);
    const value = this.#values.get(id);
    this.#inboxes.delete(id);
    this.#values.delete(id);
    switch (answer.type) {
      case "done":
        return inbox?.push(null);
      case "value":
        return value?.resolve(answer.value);
      case "error": {
        const error = fromPlainError(answer.error);
        inbox?.fail(error);
        value?.reject(error);
      }
    }
  }

  /** Fails all that is not answered yet, and all that will be asked. */
  close(error: () => Error): void {
    if (this.#closed) return;
    this.#closed = error;
    for (const inbox of this.#inboxes.values()) inbox.fail(error());
    for (const value of this.#values.values()) value.reject(error());
    this.#inboxes.clear();
    this.#values.clear();
  }
}
