/**
 * Keeps a model running in a worker: starts it again when it crashes, or when asked to.
 *
 * @module
 */
import { type ChatModel, UnavailableError } from "../chat/chat_model.ts";
import type { Config } from "../config.ts";
import type { CacheSetup } from "../plan/cache_setup.ts";
import { CrashRecord } from "./crash_record.ts";
import { inThisThread } from "./in_this_thread.ts";
import { WorkerHandle, type WorkerLike } from "./worker_handle.ts";

/** Options of {@linkcode ModelHost}; each has a default. */
export interface HostOptions {
  /** Starts a worker. */
  worker?: () => WorkerLike;
  /** Where lines for the operator go. Default: the console. */
  log?: Pick<Console, "log" | "error">;
  /** When to start a worker again that crashed. */
  crashes?: Pick<CrashRecord, "add">;
}

/**
 * The model that a configuration names, while there is one.
 *
 * @example
 * ```ts ignore
 * await using host = new ModelHost(readConfig());
 * if (await host.loaded) Deno.serve(createApp({ model: host.model }).fetch);
 * ```
 */
export class ModelHost implements AsyncDisposable {
  /** Whether the model was loaded at first. If not, it is not tried again unasked. */
  readonly loaded: Promise<boolean>;
  readonly #config: Config;
  readonly #startWorker: () => WorkerLike;
  readonly #log: Pick<Console, "log" | "error">;
  readonly #crashes: Pick<CrashRecord, "add">;
  #handle: WorkerHandle | null = null;
  #starting: Promise<boolean> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #problem: string | null = null;
  /** Seconds that the last load took; `null` if there was none. */
  #loadSeconds: number | null = null;
  #closed = false;

  /** Starts loading. */
  constructor(config: Config, options: HostOptions = {}) {
    this.#config = config;
    this.#log = options.log ?? console;
    this.#crashes = options.crashes ?? new CrashRecord();
    this.#startWorker = options.worker ?? (() => startWorker(this.#log));
    this.loaded = this.#start();
  }

  /** The model, `null` while it is being loaded and if it cannot be. */
  model = (): ChatModel | null => this.#handle?.model ?? null;

  /** What the model's caches depend on, `null` while there was no model yet. */
  caches = (): CacheSetup | null => this.#handle?.caches ?? null;

  /** Why there is no model and will be none unless {@linkcode restart} helps; else `null`. */
  problem = (): string | null => this.#problem;

  /**
   * Ends the worker and starts another, which gives back all memory; requests that run fail with an
   * {@linkcode UnavailableError}. While one starts, waits for that one.
   *
   * @returns whether the model was loaded
   */
  restart(): Promise<boolean> {
    return this.#starting ?? this.#start();
  }

  /** Ends the worker; requests that run fail with an {@linkcode UnavailableError}. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#handle?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #start(): Promise<boolean> {
    this.#starting = this.#replace().finally(() => this.#starting = null);
    return this.#starting;
  }

  async #replace(): Promise<boolean> {
    await this.#handle?.stop();
    clearTimeout(this.#timer);
    if (this.#closed) return false;
    this.#problem = null;
    const begun = performance.now();
    const handle = this.#startHandle();
    const description = await handle?.ready ?? null;
    if (description === null) return false;
    this.#loadSeconds = (performance.now() - begun) / 1000;
    this.#log.log(description);
    return true;
  }

  #startHandle(): WorkerHandle | null {
    try {
      const handle = this.#handle = new WorkerHandle(this.#startWorker(), {
        config: this.#config,
        gone: () => this.#gone(),
      });
      handle.ended.then((reason) => reason && this.#failed(reason));
      return handle;
    } catch (error) {
      this.#failed(error as Error);
      return null;
    }
  }

  #failed(reason: Error): void {
    if (this.#closed) return;
    if (this.#loadSeconds === null) {
      this.#problem = reason.message;
      this.#log.error(`Cannot load the model.\n${reason.message}`);
      return;
    }
    const delay = this.#crashes.add(performance.now());
    if (delay === null) {
      this.#problem =
        `The model's worker failed too often to be started again by itself, at last with: ${reason.message}`;
      this.#log.error(this.#problem, reason);
      return;
    }
    this.#log.error("The model's worker failed and is started again.", reason);
    this.#timer = setTimeout(() => this.#start(), delay);
  }

  #gone(): UnavailableError {
    return new UnavailableError(
      "model_restarted",
      "The model was restarted before the answer was complete. Ask again in a moment.",
      this.#loadSeconds ?? 0,
    );
  }
}

/** The real worker; where there are none (some edge hosts), the model shares this thread. */
function startWorker(log: Pick<Console, "log">): WorkerLike {
  if (typeof Worker !== "undefined") {
    const script = new URL("./model_worker.ts", import.meta.url);
    return new Worker(script, { type: "module", name: "model" });
  }
  log.log(
    "There are no Web Workers here: the model runs in the server's thread, which cannot answer anything else during a step.",
  );
  return inThisThread(async (config) => {
    const { describeModel, loadModel } = await import("../load_model.ts");
    const loaded = await loadModel(config);
    const { service: model, caches } = loaded;
    const release = () => {
      model.close();
      return loaded.release();
    };
    return { model, caches, description: describeModel(loaded), release };
  });
}
