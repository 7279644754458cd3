/** An app with a store over a scripted decoder: all of a conversation's way but the model. */
import OpenAI from "openai";
import { type AppParts, createApp } from "../../lib/app.ts";
import type { ServiceLimits } from "../../lib/chat/chat_parts.ts";
import type { ChatService } from "../../lib/chat/chat_service.ts";
import type { ChatTemplate } from "../../lib/chat/template.ts";
import { openStore, type Store } from "../../lib/store/store.ts";
import {
  openService,
  ScriptedDecoder,
  TEMPLATE,
  TOKENIZER,
} from "../chat/scripted_decoder.ts";

/** Answers requests. */
export type Handler = (
  request: Request,
  info: Deno.ServeHandlerInfo<Deno.NetAddr>,
) => Response | Promise<Response>;

/** A served app and what is behind it. */
export interface StoredApp extends AsyncDisposable {
  readonly base: string;
  readonly openai: OpenAI;
  readonly decoder: ScriptedDecoder;
  readonly store: Store;
  readonly reported: unknown[];
  /** Starts a model anew, which has forgotten everything. */
  restart(): ScriptedDecoder;
  /** Sends a request as it is; `body` is JSON. */
  send(
    method: string,
    path: string,
    body?: unknown,
    headers?: HeadersInit,
  ): Promise<Response>;
}

/** Serves an app whose answers are "hello", a token a step. */
export async function storedApp(
  options: {
    slots?: number;
    limits?: Partial<ServiceLimits>;
    snapshotBytes?: number;
    pingInterval?: number;
    apiKey?: string;
    /** Where the store is; by default in memory. */
    data?: string;
    /** More of what the app is made of. */
    parts?: Partial<AppParts>;
    /** What requests go through on their way to the app. */
    wrap?: (handler: Handler) => Handler;
    template?: ChatTemplate;
  } = {},
): Promise<StoredApp> {
  const { slots = 4, snapshotBytes = 0, apiKey = "none", data } = options;
  const store = await openStore(data ?? null, { snapshotBytes });
  const reported: unknown[] = [];
  let decoder: ScriptedDecoder;
  let model: ChatService | undefined;
  const { template = TEMPLATE } = options;
  const restart = () => {
    model?.close();
    decoder = new ScriptedDecoder({ slots });
    decoder.answer = TOKENIZER.encode("hello");
    const limits = { sinks: 4, window: 1020, ...options.limits };
    model = openService(decoder, { template, ...limits });
    return decoder;
  };
  restart();
  const { pingInterval = 15_000 } = options;
  const app = createApp({
    model: () => model!,
    store,
    pingInterval,
    report: (error) => reported.push(error),
    ...options.parts,
  });
  const { wrap = (handler) => handler } = options;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    wrap(app.fetch),
  );
  const base = `http://127.0.0.1:${server.addr.port}`;
  return {
    base,
    openai: new OpenAI({
      baseURL: `${base}/v1`,
      apiKey,
      maxRetries: 0,
      logLevel: "off",
    }),
    get decoder() {
      return decoder;
    },
    store,
    reported,
    restart,
    send: (method, path, body, headers = {}) =>
      fetch(base + path, {
        method,
        headers: {
          authorization: `Bearer ${apiKey}`,
          "content-type": "application/json",
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      model?.close();
      await store.close();
    },
  };
}

/** A gate that holds a decoder's runs, once this many have gone through. */
export function hold(decoder: ScriptedDecoder, after = 0): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  let runs = 0;
  decoder.gate = () => runs++ < after ? undefined : promise;
  return () => {
    decoder.gate = () => {};
    resolve();
  };
}
