/** Answers counted in the record of the request that they are for. @module */
import type { GenerationEvent } from "../chat/chat_model.ts";
import type { AnswerObserver, Observe } from "./observed_model.ts";
import { currentRecord, type RequestRecord } from "./request_record.ts";

/** Counts an answer for the current request, if there is one. */
export const recordAnswers: Observe = () => () => {
  const record = currentRecord();
  return record ? new RecordedAnswer(record) : null;
};

class RecordedAnswer implements AnswerObserver {
  readonly #record: RequestRecord;
  #tokens = 0;
  #settled = false;

  constructor(record: RequestRecord) {
    this.#record = record;
  }

  event(event: GenerationEvent): void {
    switch (event.type) {
      case "start":
        return this.#record.started(event.promptTokens, event.cachedTokens);
      case "text":
        return this.#generated(event.tokens);
      case "end":
        this.#generated(event.usage.completionTokens);
        this.#settled = true;
        this.#record.finishReason = event.finishReason;
    }
  }

  failed(error: unknown): void {
    this.#settled = true;
    this.#record.failed(error);
  }

  cancelled(): void {
    if (!this.#settled) this.#record.error ??= "client_closed_request";
    this.#settled = true;
  }

  stopped(): void {
    if (!this.#settled) this.#record.failed(new Error("no end event"));
    this.#settled = true;
  }

  #generated(tokens: number): void {
    this.#record.generated(tokens - this.#tokens);
    this.#tokens = tokens;
  }
}
