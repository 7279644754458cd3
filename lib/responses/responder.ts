/** Begins responses and knows those that are under way. @module */
import type {
  ChatModel,
  Client,
  GenerationRequest,
} from "../chat/chat_model.ts";
import { ToolCallReader } from "../chat/tool_calls.ts";
import { invalidRequest } from "../openai/errors.ts";
import { newId } from "../openai/ids.ts";
import { ResponseWriter } from "../openai/response.ts";
import type { ResponseRequest } from "../openai/responses_request.ts";
import type { Store } from "../store/store.ts";
import type { Once } from "../store/turns.ts";
import { type Continuation, continuationOf } from "./continuation.ts";
import { ResponseRun } from "./response_run.ts";
import { SnapshotsBehind } from "./snapshots_behind.ts";
import { type RunnableTurn, UnstoredTurn } from "./unstored_turn.ts";

/** Most UTF-16 units of events that wait for the reader of a response that is not stored. */
const UNSTORED_EVENTS = 1 << 22;

/** Who asks for a response, of which model, and how a retry of it is known. */
export interface Asked {
  readonly client: Client;
  readonly model: ChatModel;
  readonly request: ResponseRequest;
  readonly once: Once;
  /** Told of errors that clients hear of only in general. */
  readonly report: (error: unknown) => void;
}

/** A response that has begun, or why none has. */
export type Responding =
  | {
    readonly outcome: "begun";
    readonly run: ResponseRun;
    readonly turn: RunnableTurn;
    readonly id: string;
  }
  | { readonly outcome: "repeated"; readonly response: string }
  | { readonly outcome: "busy" | "missing" | "key-reused" };

/** All responses of a server. */
export class Responder {
  readonly #store: Store;
  readonly #snapshots: SnapshotsBehind;
  /** By owner and id. */
  readonly #runs = new Map<string, ResponseRun>();

  /** @param report told of what goes wrong behind responses */
  constructor(store: Store, report: (error: unknown) => void) {
    this.#store = store;
    this.#snapshots = new SnapshotsBehind(store, report);
  }

  /** Begins a response. */
  begin(asked: Asked): Responding {
    const { client: { owner }, request, model, once } = asked;
    const { continues, store } = request;
    const id = newId("resp");
    const createdAt = Math.floor(Date.now() / 1000);
    const writer = new ResponseWriter({
      id,
      createdAt,
      model: model.id,
      request,
    });
    if (!store && !(continues && "conversation" in continues)) {
      const start = this.#store.turns.start(owner, continues);
      if (typeof start === "string") return { outcome: start };
      const turn = new UnstoredTurn(start, UNSTORED_EVENTS);
      return this.#run(asked, { id, writer, turn });
    }
    const begun = this.#store.turns.begin(owner, {
      body: writer.body,
      input: request.input,
      continues,
      once,
    });
    return begun.outcome === "begun"
      ? this.#run(asked, { id, writer, turn: begun.turn })
      : begun;
  }

  /** The response that is under way by this id. */
  running(owner: string, id: string): ResponseRun | null {
    return this.#runs.get(keyOf(owner, id)) ?? null;
  }

  #run(
    { client, request, model, report }: Asked,
    { id, writer, turn }: {
      id: string;
      writer: ResponseWriter;
      turn: RunnableTurn;
    },
  ): Responding {
    const { owner } = client;
    let continuation: Continuation;
    try {
      continuation = continuationOf(request, turn.start, {
        store: this.#store,
        owner,
      });
      requireMessages(continuation);
    } catch (error) {
      turn.abandon(writer.cancel());
      this.#erase(owner, id, report);
      throw error;
    }
    const { base, messages, tools, effective } = continuation;
    const threaded = base !== null || !(turn instanceof UnstoredTurn);
    const run = new ResponseRun({
      model,
      request: {
        ...generationOf(request, client),
        messages,
        tools,
        thread: threaded ? { from: base, to: id } : undefined,
      },
      turn,
      writer,
      store: this.#store,
      effective,
      calls: request.calls.tools.length > 0 ? new ToolCallReader() : null,
      report,
    });
    const key = keyOf(owner, id);
    this.#runs.set(key, run);
    run.ended.then(() => {
      this.#runs.delete(key);
      const { position } = run;
      if (position) this.#snapshots.add(model, { owner, state: id, position });
      if (!request.store) this.#erase(owner, id, report);
    });
    return { outcome: "begun", run, turn, id };
  }

  /** Erases a response that nobody is to find. */
  async #erase(
    owner: string,
    id: string,
    report: (error: unknown) => void,
  ): Promise<void> {
    try {
      await this.#store.responses.delete(owner, id);
    } catch (error) {
      report(error);
    }
  }
}

function generationOf(
  { temperature, topP, maxOutputTokens, truncation, policy, calls }:
    ResponseRequest,
  client: Client,
): Omit<GenerationRequest, "messages"> {
  return {
    client,
    sampling: {
      temperature: temperature ?? undefined,
      topP: topP ?? undefined,
    },
    maxTokens: maxOutputTokens ?? undefined,
    stop: calls.stop,
    format: calls.format,
    policy,
    refuseOverflow: truncation === "disabled",
  };
}

function requireMessages({ messages }: Continuation): void {
  if (messages.length > 0) return;
  throw invalidRequest(
    "There is nothing to answer: give 'input', or add items to the conversation first.",
    { param: "input", code: "missing_required_parameter" },
  );
}

function keyOf(owner: string, id: string): string {
  return `${owner} ${id}`;
}
