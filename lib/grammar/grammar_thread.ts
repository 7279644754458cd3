/** One grammar in a worker of its own, which is ended when it takes too long. @module */
import type { TokenMask } from "../sampling/token_mask.ts";
import type {
  GrammarAnswer,
  GrammarCommand,
  GrammarVocabulary,
} from "./protocol.ts";

/** Milliseconds that a grammar's thread has for what it does. */
export interface GrammarTimes {
  /** To start, which no grammar has a part in. */
  readonly start: number;
  readonly compile: number;
  /** To find out what may come after a token. */
  readonly token: number;
}

/** A grammar that cannot be compiled or followed; the message is for the client. */
export class GrammarError extends Error {
  override name = "GrammarError";
}

/** Which tokens of one text may come next. */
export interface Constraint {
  /**
   * What may come after all tokens that were accepted.
   *
   * @throws {GrammarError} if nothing may, or the grammar took too long
   */
  mask(): Promise<TokenMask>;
  /** Takes the next token; what may come after it is found out while other things go on. */
  accept(token: number): void;
  /** Frees what is held of the text. */
  release(): void;
}

interface Question {
  readonly answered: PromiseWithResolvers<TokenMask | null>;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** A worker with one grammar and any number of texts that follow it. */
export class GrammarThread {
  readonly #worker: Worker;
  readonly #times: GrammarTimes;
  readonly #questions: Question[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #failure: GrammarError | null = null;
  #matchers = 0;

  /** Starts the worker. */
  constructor(times: GrammarTimes) {
    this.#times = times;
    const script = new URL("./grammar_worker.ts", import.meta.url);
    this.#worker = new Worker(script, { type: "module", name: "grammar" });
    this.#worker.onmessage = ({ data }) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault(); // else the thread that started it ends, too
      this.#fail(
        "The grammar could not be followed: simplify its schema",
      );
    };
  }

  /** Resolves once the worker has ended, for whatever reason. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Compiles the grammar; asked for first, and once.
   *
   * @throws {GrammarError} if that fails or takes too long; the worker has ended then
   */
  async compile(
    grammar: string,
    vocabulary: GrammarVocabulary,
  ): Promise<void> {
    const { start, compile } = this.#times;
    await this.#ask(
      { type: "load", vocabulary },
      start,
      `This server could not prepare for formats within ${
        start / 1000
      } s: ask again when it is less busy`,
    );
    await this.#ask(
      { type: "compile", grammar },
      compile,
      `The schema took over ${compile / 1000} s to compile: simplify it`,
    );
  }

  /** Begins a text. */
  open(): Constraint {
    const matcher = this.#matchers++;
    let mask = this.#mask({ type: "open", matcher });
    return {
      mask: () => mask,
      accept: (token) => {
        mask = this.#mask({ type: "accept", matcher, token });
      },
      release: () =>
        void this.#inTime({ type: "close", matcher }).catch(() => {}),
    };
  }

  /** Ends the worker. */
  end(): void {
    this.#fail("The grammar was ended");
  }

  #mask(command: GrammarCommand): Promise<TokenMask> {
    const mask = this.#inTime(command).then((mask) => {
      if (mask?.some((word) => word !== 0)) return mask;
      throw new GrammarError(
        "No text fits the schema from here: correct the schema",
      );
    });
    mask.catch(() => {}); // whoever waits for it is told; perhaps nobody does
    return mask;
  }

  #inTime(command: GrammarCommand): Promise<TokenMask | null> {
    const { token } = this.#times;
    return this.#ask(
      command,
      token,
      `The grammar took over ${
        token / 1000
      } s for one token: simplify its schema`,
    );
  }

  #ask(
    command: GrammarCommand,
    milliseconds: number,
    late: string,
  ): Promise<TokenMask | null> {
    if (this.#failure) return Promise.reject(this.#failure);
    const answered = Promise.withResolvers<TokenMask | null>();
    const timer = setTimeout(() => this.#fail(late), milliseconds);
    this.#questions.push({ answered, timer });
    this.#worker.postMessage(command);
    return answered.promise;
  }

  #take(answer: GrammarAnswer): void {
    if ("error" in answer) {
      return this.#fail(
        "No grammar could be made of the schema, or followed: simplify it",
      );
    }
    const question = this.#questions.shift()!;
    clearTimeout(question.timer);
    question.answered.resolve(answer.mask);
  }

  /** After a failure the module's memory is anything: the worker goes, and all its texts. */
  #fail(message: string): void {
    if (this.#failure) return;
    this.#failure = new GrammarError(message);
    this.#worker.onmessage = null;
    this.#worker.terminate();
    for (const { answered, timer } of this.#questions.splice(0)) {
      clearTimeout(timer);
      answered.reject(this.#failure);
    }
    this.#ended.resolve();
  }
}
