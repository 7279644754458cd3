/**
 * One response on its way: the model's events become the turn's, and in the end its commit. It runs
 * whether or not anybody reads it.
 *
 * @module
 */
import type {
  ChatModel,
  GenerationEvent,
  GenerationRequest,
} from "../chat/chat_model.ts";
import type { AnswerPart, ToolCallReader } from "../chat/tool_calls.ts";
import { type ApiError, toApiError } from "../openai/errors.ts";
import type { ResponseWriter } from "../openai/response.ts";
import type { Position, ResponseBody } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import { GoneError } from "../store/under_way.ts";
import { answered, ofInput, threadLog } from "./continuation.ts";
import type { Notes } from "./notes.ts";
import type { RunnableTurn } from "./unstored_turn.ts";

type EndEvent = Extract<GenerationEvent, { type: "end" }>;

/** What a response is run with. */
export interface RunOptions {
  readonly model: ChatModel;
  readonly request: GenerationRequest;
  readonly turn: RunnableTurn;
  readonly writer: ResponseWriter;
  readonly store: Store;
  /** What is in effect after the turn. */
  readonly effective: Pick<Notes, "instructions" | "tools">;
  /** Reads calls out of the answer's text; `null` if it can have none. */
  readonly calls: ToolCallReader | null;
  /** Told of errors that clients hear of only in general. */
  readonly report: (error: unknown) => void;
}

/** A response, begun at once. */
export class ResponseRun {
  readonly #options: RunOptions;
  readonly #events: AsyncGenerator<GenerationEvent, void, void>;
  readonly #started = Promise.withResolvers<void>();
  #cancelled = false;
  #failure: ApiError | null = null;
  #position: Position | null = null;
  /**
   * Resolves when the model has begun to answer.
   *
   * @throws what kept it from that
   */
  readonly started: Promise<void> = this.#started.promise;
  /** Resolves to the response when it has ended, however it has. */
  readonly ended: Promise<ResponseBody>;

  constructor(options: RunOptions) {
    const { model, request, turn, store } = options;
    const { owner } = request.client;
    this.#options = options;
    this.#events = answered(
      model,
      request,
      (key) => threadLog(store, owner, { turn: turn.start.base!.turn, key }),
    );
    this.started.catch(() => {}); // of concern to those alone who wait for it
    for (const event of options.writer.open()) turn.append(event);
    this.ended = this.#run();
  }

  /** Why it has failed; `null` if it has not. */
  get failure(): ApiError | null {
    return this.#failure;
  }

  /** Where the turn that was committed ends; `null` if none was. */
  get position(): Position | null {
    return this.#position;
  }

  /** Ends it as if its turn had not been, unless it has ended. */
  async cancel(): Promise<ResponseBody> {
    this.#cancelled = true;
    await this.#events.return();
    return await this.ended;
  }

  async #run(): Promise<ResponseBody> {
    const { turn, writer, report } = this.#options;
    try {
      for await (const event of this.#events) {
        if (turn.gone) throw new GoneError();
        if (event.type === "end") return this.#end(event);
        this.#take(event);
      }
      if (!this.#cancelled) {
        throw new Error("the model's answer stopped without an end event");
      }
      return this.#abandon(writer.cancel());
    } catch (thrown) {
      const error = ofInput(thrown);
      this.#started.reject(error);
      if (error instanceof GoneError) return writer.cancel();
      const known = toApiError(error);
      if (known.status === 500) report(error);
      this.#failure = known;
      const { body, event } = writer.fail(known.body.error);
      if (!turn.gone) turn.append(event);
      return this.#abandon(body);
    }
  }

  #take(event: Exclude<GenerationEvent, EndEvent>): void {
    const { turn, writer, calls } = this.#options;
    if (event.type === "start") {
      const { resumed = null } = event;
      writer.begin({ resumed, branched: turn.branches });
      this.#started.resolve();
    } else if (event.text !== "") {
      this.#tell(calls ? calls.push(event.text) : [{ text: event.text }]);
    }
  }

  #tell(parts: readonly AnswerPart[]): void {
    const { turn, writer } = this.#options;
    for (const part of parts) {
      for (const event of writer.add(part)) turn.append(event);
    }
  }

  #end(end: EndEvent): ResponseBody {
    const { turn, writer, request, calls, effective } = this.#options;
    this.#tell(calls?.end() ?? []);
    for (const event of writer.close(end)) turn.append(event);
    const { body, output, event } = writer.finish(end);
    const { tokens, starts, runs, setup } = end.thread ?? NOTHING;
    const state = request.thread?.to ?? "";
    this.#position = turn.commit({
      body,
      output,
      event,
      tokens,
      boundaries: { state, starts, runs, ...effective } satisfies Notes,
      setup,
    });
    return body;
  }

  #abandon(body: ResponseBody): ResponseBody {
    const { turn, report } = this.#options;
    try {
      turn.abandon(body);
    } catch (error) {
      report(error);
    }
    return body;
  }
}

/** Of an answer that is no thread's: nobody goes on from it. */
const NOTHING = {
  tokens: new Uint32Array(),
  starts: [],
  runs: [],
  setup: { model: "", policy: {} },
};
