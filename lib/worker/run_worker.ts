/**
 * The life of a model's thread: it loads, answers, and gives back what ending a thread does not.
 *
 * @module
 */
import type { ChatModel } from "../chat/chat_model.ts";
import type { Config } from "../config.ts";
import type { CacheSetup } from "../plan/cache_setup.ts";
import { ModelServer } from "./model_server.ts";
import { toPlainError } from "./plain_error.ts";
import type { Command, Report } from "./protocol.ts";

/** A loaded model and what else its thread has to know. */
export interface ServedModel {
  readonly model: ChatModel;
  /** What its caches depend on. */
  readonly caches: CacheSetup;
  /** One line for the log. */
  readonly description: string;
  /** Gives back memory and threads that outlive the thread. */
  release(): Promise<void>;
}

/** Runs a model's thread; gives what takes its commands and what is told of a crash. */
export function runWorker(
  load: (config: Config) => Promise<ServedModel>,
  post: (report: Report) => void,
): { receive: (command: Command) => void; crash: (error: unknown) => void } {
  let served: ServedModel | null = null;
  let server: ModelServer | null = null;
  let ending = false;

  async function start(config: Config): Promise<void> {
    try {
      served = await load(config);
    } catch (error) {
      return post({ type: "failed", error: toPlainError(error) });
    }
    const { model: { id, created }, model, caches, description } = served;
    server = new ModelServer(
      model,
      (answers) => post({ type: "answers", answers }),
    );
    post({ type: "ready", id, created, caches, description });
  }

  async function end(): Promise<void> {
    if (ending) return;
    ending = true;
    try {
      await server?.cancelAll();
      await served?.release();
    } catch (error) {
      console.error("Cannot give back all of the model's memory:", error);
    }
    post({ type: "stopped" });
  }

  /** The first error counts; those of a thread that ends are its ruins. */
  function crash(error: unknown): void {
    if (ending) return;
    post({ type: "crashed", error: toPlainError(error) });
    end();
  }

  function receive(command: Command): void {
    switch (command.type) {
      case "load":
        return void start(command.config);
      case "stop":
        return void end();
      default:
        server?.receive(command).catch(crash);
    }
  }
  return { receive, crash };
}
