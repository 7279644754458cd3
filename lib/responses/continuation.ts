/** From where a turn begins in the store to what the model is asked. @module */
import { cancellable } from "../chat/cancellable.ts";
import {
  type ChatMessage,
  type ChatModel,
  type GenerationEvent,
  type GenerationRequest,
  RequestError,
  type Tool,
} from "../chat/chat_model.ts";
import {
  NotHeldError,
  type ThreadBase,
  type ThreadLog,
} from "../chat/thread.ts";
import { sha256OfText } from "../models/sha256.ts";
import { itemsToMessages } from "../openai/items.ts";
import type { PromptRequest } from "../openai/responses_request.ts";
import type { SnapshotKey } from "../store/snapshots.ts";
import type { Store } from "../store/store.ts";
import type { Start } from "../store/turn.ts";
import { GoneError } from "../store/under_way.ts";
import { type Notes, notesOf, readNotes } from "./notes.ts";

/** What the model is to read of a turn, and behind what. */
export interface Continuation {
  readonly messages: ChatMessage[];
  /** `null`: nothing comes before. */
  readonly base: ThreadBase | null;
  /** What the model is to be told that it may call, where it was not told the same last. */
  readonly tools: Tool[];
  /** What is in effect from here on. */
  readonly effective: Pick<Notes, "instructions" | "tools">;
}

/**
 * The messages that are new to a log. Instructions are one of them unless they are in effect already,
 * and so it is with tools: what the model has read is not read again, and stays.
 *
 * @throws {GoneError} if what it goes on from was deleted meanwhile
 */
export function continuationOf(
  { input, instructions, calls: { tools } }: Pick<
    PromptRequest,
    "input" | "instructions" | "calls"
  >,
  { base, pending, setup }: Start,
  { store, owner }: { store: Store; owner: string },
): Continuation {
  const notes = base && readNotes(store, owner, base);
  if (base && !notes) throw new GoneError();
  const before = notes?.instructions ?? null;
  const told = notes?.tools ?? null;
  const asked = tools.length > 0 ? sha256OfText(JSON.stringify(tools)) : told;
  const messages = itemsToMessages([...pending, ...input]);
  if (instructions !== null && instructions !== before) {
    messages.unshift({ role: "system", content: instructions });
  }
  return {
    messages,
    base: notes && { state: notes.state, setup: setup! },
    tools: asked === told ? [] : tools,
    effective: { instructions: instructions ?? before, tools: asked },
  };
}

/** An error of the messages, as one of the input that they are made of; any other as it is. */
export function ofInput(error: unknown): unknown {
  return error instanceof RequestError && error.param?.startsWith("messages")
    ? new RequestError(error.message, "input")
    : error;
}

/** Answers a request; if the model does not hold the request's thread, fetches its log and asks again. */
export function answered(
  model: ChatModel,
  request: GenerationRequest,
  logFor: (key: SnapshotKey) => Promise<ThreadLog>,
): AsyncGenerator<GenerationEvent, void, void> {
  return cancellable((signal) => asked(model, { request, logFor, signal }));
}

async function* asked(
  model: ChatModel,
  { request, logFor, signal }: {
    request: GenerationRequest;
    logFor: (key: SnapshotKey) => Promise<ThreadLog>;
    signal: AbortSignal;
  },
): AsyncGenerator<GenerationEvent, void, void> {
  const { thread } = request;
  try {
    return yield* until(signal, model.generate(request));
  } catch (error) {
    if (!(error instanceof NotHeldError) || !thread?.from) throw error;
    const log = await logFor(error.key);
    signal.throwIfAborted();
    const from = { ...thread.from, log };
    yield* until(
      signal,
      model.generate({ ...request, thread: { ...thread, from } }),
    );
  }
}

/** Ends another generator with the signal, also while it is waited for. */
async function* until<T>(
  signal: AbortSignal,
  events: AsyncGenerator<T, void, void>,
): AsyncGenerator<T, void, void> {
  const end = () => void events.return();
  signal.addEventListener("abort", end, { once: true });
  try {
    yield* events;
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/**
 * All of a thread up to a turn, with the snapshot that saves most of computing it.
 *
 * @throws {GoneError} if it was deleted
 */
export async function threadLog(
  { turns, snapshots }: Store,
  owner: string,
  { turn, key }: { turn: number; key: SnapshotKey },
): Promise<ThreadLog> {
  const snapshot = await snapshots.load(owner, turn, key);
  const log = turns.log(owner, turn);
  if (!log) throw new GoneError();
  const length = log.turns.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const tokens = new Uint32Array(length);
  let at = 0;
  for (const turn of log.turns) {
    tokens.set(turn.tokens, at);
    at += turn.tokens.length;
  }
  return {
    tokens,
    starts: log.turns.flatMap((turn) => notesOf(turn).starts),
    runs: log.turns.flatMap((turn) => notesOf(turn).runs),
    snapshot: snapshot?.bytes ?? null,
  };
}
