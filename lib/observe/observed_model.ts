/** A chat model whose answers are observed as they come, without being changed. @module */
import { answeringBy } from "../chat/answering_model.ts";
import type {
  ChatModel,
  GenerationEvent,
  GenerationRequest,
} from "../chat/chat_model.ts";

type Events = AsyncGenerator<GenerationEvent, void, void>;

/** Who is told of one answer, from its request on. */
export interface AnswerObserver {
  event(event: GenerationEvent): void;
  failed(error: unknown): void;
  /** Nobody wants the rest; said of answers that have ended, too. */
  cancelled(): void;
  /** No more events come; right after an `end`, wrong without one. */
  stopped(): void;
}

/** Observes a model: for each of its answers an observer, or `null` if there is no need for one. */
export type Observe = (
  model: ChatModel,
) => (request: GenerationRequest) => AnswerObserver | null;

/** The same model, whose answers are observed. */
export function observed(model: ChatModel, by: readonly Observe[]): ChatModel {
  const observes = by.map((observe) => observe(model));
  return answeringBy(
    model,
    (request) =>
      passedThrough(
        model.generate(request),
        () => observes.flatMap((observe) => observe(request) ?? []),
      ),
  );
}

/** The model that `current` gives, as `wrap` wraps it; each once, however often it is asked for. */
export function wrappedEach(
  current: () => ChatModel | null,
  wrap: (model: ChatModel) => ChatModel,
): () => ChatModel | null {
  const known = new WeakMap<ChatModel, ChatModel>();
  return () => {
    const model = current();
    if (model === null) return null;
    const before = known.get(model);
    if (before) return before;
    const now = wrap(model);
    known.set(model, now);
    return now;
  };
}

/** Passes everything through as it is: an `async *` would wait with `return()` for a pending step. */
function passedThrough(events: Events, begin: () => AnswerObserver[]): Events {
  // A request counts from its first `next()` on: before, nothing runs.
  let observers: AnswerObserver[] | null = null;
  function cancelled() {
    for (const observer of observers ?? []) observer.cancelled();
  }
  const generator: Events = {
    next: async () => {
      const all = observers ??= begin();
      try {
        const step = await events.next();
        for (const observer of all) {
          if (step.done) observer.stopped();
          else observer.event(step.value);
        }
        return step;
      } catch (error) {
        for (const observer of all) observer.failed(error);
        throw error;
      }
    },
    return: () => {
      cancelled();
      return events.return();
    },
    throw: (error) => {
      cancelled();
      return events.throw(error);
    },
    [Symbol.asyncIterator]: () => generator,
    [Symbol.asyncDispose]: async () => {
      await generator.return();
    },
  };
  return generator;
}
