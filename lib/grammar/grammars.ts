/**
 * Compiled grammars, the latest used kept. Each is in a worker of its own: one that takes too long, or
 * breaks the module that it is in, is ended and takes no other grammar with it, and none waits for
 * another's compilation to go on with its text.
 *
 * @module
 */
import {
  type Constraint,
  GrammarError,
  GrammarThread,
  type GrammarTimes,
} from "./grammar_thread.ts";
import type { GrammarVocabulary } from "./protocol.ts";

/** Bounds of {@linkcode Grammars}. */
export interface GrammarLimits {
  /** Most grammars at once, each some 30 MiB: those that texts follow, and those kept for the next. */
  readonly most: number;
  readonly times: GrammarTimes;
}

/** What a server without other wishes grants. */
export const GRAMMAR_LIMITS: GrammarLimits = {
  most: 8,
  times: { start: 20_000, compile: 4_000, token: 1_000 },
};

/** A grammar that is in use by some, or kept. */
interface Kept {
  readonly thread: GrammarThread;
  /** Compiled one after the other: what compiles keeps a core busy. */
  readonly compiled: Promise<void>;
  users: number;
}

/** Grammars by their text. */
export class Grammars {
  readonly #vocabulary: () => GrammarVocabulary;
  readonly #limits: GrammarLimits;
  /** The latest used last. */
  readonly #kept = new Map<string, Kept>();
  #compiling: Promise<unknown> = Promise.resolve();
  #freed = Promise.withResolvers<void>();

  /** @param vocabulary is asked for its tokens once there is a grammar, and each time again */
  constructor(
    vocabulary: () => GrammarVocabulary,
    limits: GrammarLimits = GRAMMAR_LIMITS,
  ) {
    this.#vocabulary = vocabulary;
    this.#limits = limits;
  }

  /** How many grammars are held, and of how many there are texts under way. */
  get counts(): { held: number; used: number } {
    const kept = [...this.#kept.values()];
    const used = kept.filter(({ users }) => users > 0).length;
    return { held: kept.length, used };
  }

  /**
   * Begins a text that follows a grammar, compiling it if it is not kept. Waits while as many grammars
   * as there may be are in use.
   *
   * @throws {GrammarError} if it cannot be compiled, or nothing fits it
   * @throws the signal's reason
   */
  async open(grammar: string, signal: AbortSignal): Promise<Constraint> {
    const kept = await this.#take(grammar, signal);
    const leave = () => {
      kept.users--;
      this.#freed.resolve();
    };
    try {
      await orAborted(kept.compiled, signal);
      const constraint = kept.thread.open();
      await orAborted(constraint.mask(), signal);
      return {
        ...constraint,
        release: () => {
          constraint.release();
          leave();
        },
      };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Ends all workers. */
  close(): void {
    for (const { thread } of this.#kept.values()) thread.end();
  }

  /** One user more of the grammar. */
  async #take(grammar: string, signal: AbortSignal): Promise<Kept> {
    while (!this.#kept.has(grammar) && !this.#makeRoom()) {
      this.#freed = Promise.withResolvers();
      await orAborted(this.#freed.promise, signal);
    }
    const kept = this.#kept.get(grammar) ?? this.#start(grammar);
    this.#kept.delete(grammar);
    this.#kept.set(grammar, kept);
    kept.users++;
    return kept;
  }

  /** Makes room for one more if it can; says whether there is. */
  #makeRoom(): boolean {
    if (this.#kept.size < this.#limits.most) return true;
    for (const [grammar, { users, thread }] of this.#kept) {
      if (users > 0) continue;
      this.#kept.delete(grammar);
      thread.end();
      return true;
    }
    return false;
  }

  #start(grammar: string): Kept {
    if (typeof Worker === "undefined") {
      throw new GrammarError(
        "This server's host has no Web Workers, which formats need: leave the format out",
      );
    }
    const thread = new GrammarThread(this.#limits.times);
    const compiled = this.#compiling.then(() =>
      thread.compile(grammar, this.#vocabulary())
    );
    this.#compiling = compiled.catch(() => {});
    const kept: Kept = { thread, compiled, users: 0 };
    thread.ended.then(() => {
      if (this.#kept.get(grammar) === kept) this.#kept.delete(grammar);
      this.#freed.resolve();
    });
    return kept;
  }
}

/** What a promise gives, unless the signal aborts before. */
async function orAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
