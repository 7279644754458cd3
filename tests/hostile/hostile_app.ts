/** The app that hostile clients meet: with a store, keys, and a model that offers all there is. @module */
import { digestOf, KeyRing } from "../../lib/access/keys.ts";
import { KV_BITS } from "../../lib/cache/cache_format.ts";
import { offeredFormats, POLICY_NAMES } from "../../lib/cache/policy.ts";
import { answeringBy } from "../../lib/chat/answering_model.ts";
import { cancellable } from "../../lib/chat/cancellable.ts";
import type { ChatModel, GenerationEvent } from "../../lib/chat/chat_model.ts";
import { Drain } from "../../lib/ending/drain.ts";
import {
  openService,
  ScriptedDecoder,
  TOKENIZER,
} from "../chat/scripted_decoder.ts";
import { TOOLS_TEMPLATE } from "../chat/tools_template.ts";
import { Description } from "../openapi/described.ts";
import { CACHES } from "../routes/harness.ts";
import { type StoredApp, storedApp } from "../routes/stored_app.ts";

/** Keys of two clients who must know nothing of each other. */
export const KEYS = { ada: "es-ada-0123456789", bob: "es-bob-0123456789" };

/** What to say for an answer that begins and does not end. */
export const HOLD = "Think about it for ever.";

/** Answers on their way at the same time, by kind of cache. */
const SLOTS = 4;

/** Most bytes of a body: few, so that too many cost little. */
export const BODY_LIMIT = 64 * 1024;

/** A served app whose answers are "hello", and what it says of itself. */
export interface HostileApp extends AsyncDisposable {
  readonly app: StoredApp;
  readonly description: Description;
  readonly drain: Drain;
  /** Ends answers to {@linkcode HOLD}. */
  release(): void;
  /** Drops what its decoders remember of what they were asked to do. */
  forget(): void;
}

/** Serves it; its requests are Ada's unless they say otherwise. */
export async function hostileApp(
  { snapshotBytes = 1_000_000 }: { snapshotBytes?: number } = {},
): Promise<HostileApp> {
  const offer = { standard: "sink-window", allowed: POLICY_NAMES } as const;
  const caches = offeredFormats(offer, KV_BITS).map((format) => {
    const decoder = new ScriptedDecoder({ slots: SLOTS });
    decoder.answer = TOKENIZER.encode("hello");
    return { format, decoder };
  });
  const service = openService(
    caches,
    {
      template: TOOLS_TEMPLATE,
      window: 1020,
      policies: { ...offer, evict: "token" },
    },
  );
  const holding = new Holding();
  const model = holding.wrap(service);
  const drain = new Drain();
  const app = await storedApp({
    apiKey: KEYS.ada,
    snapshotBytes,
    parts: {
      model: () => model,
      keys: new KeyRing(Object.values(KEYS).map(digestOf)),
      caches: () => CACHES,
      drain,
      bodyLimit: BODY_LIMIT,
    },
  });
  const document = await app.send("GET", "/openapi.json");
  const description = new Description(await document.json());
  return {
    app,
    description,
    drain,
    release: () => holding.release(),
    forget() {
      for (const { decoder } of caches) {
        const { runs, batches, opened, rewound, saved, restored } = decoder;
        for (const list of [runs, batches, opened, rewound, saved, restored]) {
          list.length = 0;
        }
      }
    },
    async [Symbol.asyncDispose]() {
      drain.stop(); // what would go on
      await app[Symbol.asyncDispose]();
      service.close();
    },
  };
}

/** A model whose chance is always the same, and that does not end what it answers to {@linkcode HOLD}. */
class Holding {
  #released = Promise.withResolvers<void>();

  /** Ends, as a broken model would, what it has begun and not ended. */
  release(): void {
    this.#released.resolve();
    this.#released = Promise.withResolvers();
  }

  wrap(model: ChatModel): ChatModel {
    return answeringBy(model, ({ sampling, ...request }) => {
      const seed = sampling.seed ?? 1;
      const events = model.generate({
        ...request,
        sampling: { ...sampling, seed },
      });
      return request.messages.at(-1)?.content === HOLD
        ? cancellable((signal) => this.#held(events, signal))
        : events;
    });
  }

  async *#held(
    events: AsyncGenerator<GenerationEvent, void, void>,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, void> {
    const cancelled = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => cancelled.resolve());
    try {
      for await (const event of events) {
        yield event;
        if (event.type === "start") continue;
        await Promise.race([cancelled.promise, this.#released.promise]);
        return;
      }
    } finally {
      await events.return();
    }
  }
}
