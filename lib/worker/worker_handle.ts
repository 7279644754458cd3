/**
 * One worker of a model, from its start to its end, as the main thread sees it.
 *
 * @module
 */
import type { ChatModel } from "../chat/chat_model.ts";
import type { Config } from "../config.ts";
import type { CacheSetup } from "../plan/cache_setup.ts";
import { fromPlainError } from "./plain_error.ts";
import { type Command, type Report, transferredBy } from "./protocol.ts";
import { RemoteModel } from "./remote_model.ts";

/** What is used of a `Worker`. */
export interface WorkerLike {
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  onmessageerror: ((event: MessageEvent) => void) | null;
  postMessage(command: Command, transferred: ArrayBuffer[]): void;
  terminate(): void;
}

type Timer = ReturnType<typeof setTimeout>;

/** Options of {@linkcode WorkerHandle}. */
export interface HandleOptions {
  readonly config: Config;
  /** Makes the error of requests that the worker's end leaves unanswered. */
  readonly gone: () => Error;
  /**
   * Milliseconds that the worker has to end what it does and to give back its memory. Default 5,000.
   */
  readonly patience?: number;
}

/** Loads a model in a worker and keeps it until the worker crashes or is stopped. */
export class WorkerHandle {
  readonly #worker: WorkerLike;
  readonly #options: HandleOptions;
  readonly #ready = Promise.withResolvers<string | null>();
  readonly #ended = Promise.withResolvers<Error | null>();
  #model: RemoteModel | null = null;
  #caches: CacheSetup | null = null;
  #leaving: { reason: Error | null; timer: Timer } | null = null;

  constructor(worker: WorkerLike, options: HandleOptions) {
    this.#worker = worker;
    this.#options = options;
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault(); // else the main thread ends, too
      this.#end(new Error(event.message));
    };
    worker.onmessageerror = () =>
      this.#end(new Error("A message of the worker could not be read"));
    this.#say({ type: "load", config: options.config });
  }

  /** The model, `null` before it is loaded and once the worker crashed or is being stopped. */
  get model(): ChatModel | null {
    return this.#model;
  }

  /** What the model's caches depend on, `null` before it is loaded. */
  get caches(): CacheSetup | null {
    return this.#caches;
  }

  /** Resolves to a line that describes the model once it is loaded, to `null` if that never comes. */
  get ready(): Promise<string | null> {
    return this.#ready.promise;
  }

  /** Resolves when the worker has ended: to the reason, or to `null` if it was stopped. */
  get ended(): Promise<Error | null> {
    return this.#ended.promise;
  }

  /** Fails the requests at once, then ends the worker; resolves once it has ended. */
  async stop(): Promise<void> {
    if (this.#model) {
      this.#say({ type: "stop" });
      this.#leave(null);
    } else if (!this.#leaving) this.#end(null);
    await this.#ended.promise;
  }

  #say(command: Command): void {
    this.#worker.postMessage(command, transferredBy(command));
  }

  #receive(report: Report): void {
    switch (report.type) {
      case "ready":
        this.#caches = report.caches;
        this.#model = new RemoteModel(
          report,
          (question) => this.#say(question),
        );
        return this.#ready.resolve(report.description);
      case "answers":
        return this.#model?.receive(report.answers);
      case "failed":
        return this.#end(fromPlainError(report.error));
      case "crashed":
        return this.#leave(fromPlainError(report.error));
      case "stopped":
        return this.#end(null);
    }
  }

  /** Fails the requests, and leaves the worker some time to give back its memory. */
  #leave(reason: Error | null): void {
    if (this.#leaving) return;
    const { patience = 5_000 } = this.#options;
    const timer = setTimeout(() => this.#end(reason), patience);
    this.#leaving = { reason, timer };
    this.#model?.close(this.#options.gone);
    this.#model = null;
  }

  #end(reason: Error | null): void {
    clearTimeout(this.#leaving?.timer);
    this.#worker.onmessage = null;
    this.#worker.terminate();
    this.#model?.close(this.#options.gone);
    this.#model = null;
    this.#ready.resolve(null);
    this.#ended.resolve(this.#leaving?.reason ?? reason);
  }
}
