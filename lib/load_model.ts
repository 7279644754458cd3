/**
 * From configuration to a model that answers: file → tokenizer and template → graph → engine →
 * decoder with its slots.
 *
 * @module
 */
import { join } from "node:path";
import { ChatService } from "./chat/chat_service.ts";
import { createChatTemplate } from "./chat/template.ts";
import type { Config } from "./config.ts";
import type { Decoder } from "./decoder/decoder.ts";
import { openDecoder } from "./decoder/open_decoder.ts";
import { RecomputingDecoder } from "./decoder/recomputing_decoder.ts";
import { chooseEngine, type ChosenEngine } from "./engine/choose.ts";
import { familyOf } from "./graph/convert.ts";
import { locateModel, terminalProgress } from "./models/mod.ts";
import type { CacheSetup } from "./plan/cache_setup.ts";
import { readGgufVocabulary } from "./text/gguf_vocabulary.ts";
import { createTokenizer, type Tokenizer } from "./text/tokenizer.ts";
import { openGguf } from "./weights/gguf.ts";

/** The parts of a loaded model, for programs that want more than the service. */
export interface LoadedModel {
  readonly id: string;
  readonly path: string;
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  readonly chosen: ChosenEngine;
  readonly service: ChatService;
  /** What the decoder's caches depend on. */
  readonly caches: CacheSetup;
}

/**
 * Loads the model that the configuration names, fetching and converting it if need be.
 *
 * @throws {Error} with what was tried and what to do, if any step fails.
 */
export async function loadModel(config: Config): Promise<LoadedModel> {
  const located = await locateModel(config.model, {
    directory: config.modelsDirectory,
    onProgress: terminalProgress(),
  });
  using file = await openGguf(located.path);
  const tokenizer = createTokenizer(readGgufVocabulary(file.metadata));
  const template = createChatTemplate(
    file.metadata.string("tokenizer.chat_template"),
    tokenizer,
  );
  const chosen = await chooseEngine(config.engine, { preference: config.gpu });
  const { sinks, window, policies, limits } = config;
  const room = {
    sinks: sinks === "system" ? config.systemSinks : sinks,
    window,
  };
  const decoder = new RecomputingDecoder(
    await openDecoder(
      chosen.engine,
      {
        file,
        sha256: located.sha256,
        graphs: join(config.modelsDirectory, "graphs"),
      },
      { ...room, slots: { memory: config.memory } },
      config,
    ),
  );
  const caches: CacheSetup = {
    shape: familyOf(file.metadata).readCacheShape(file.metadata),
    ...room,
    memory: config.memory,
  };
  const service = new ChatService({
    id: located.id,
    fingerprint: {
      model: located.sha256,
      precision: precisionOf(decoder, { caches, config }),
    },
    decoder,
    tokenizer,
    template,
    sinks,
    window,
    policies,
    limits,
  });
  return {
    id: located.id,
    path: located.path,
    decoder,
    tokenizer,
    chosen,
    service,
    caches,
  };
}

/** What the rows of caches are, and how they lie: bytes of one cache are of use in another if this is the same. */
function precisionOf(
  { gpuBytes }: Decoder,
  { caches, config }: { caches: CacheSetup; config: Config },
): string {
  const { memory: _, ...rows } = caches;
  return JSON.stringify([gpuBytes ? `gpu ${config.gpuRows}` : "host", rows]);
}

/** One line for the log: what was loaded, where it runs and why, and what it holds. */
export function describeModel({ id, decoder, chosen }: LoadedModel): string {
  const { sinks, window } = decoder.room;
  const gpu = decoder.gpuBytes;
  return `Model ${id} on ${chosen.engine} (${chosen.reason}); ` +
    `${decoder.slots} slots of ${sinks} sinks + ${window} tokens, ${
      mebibytes(decoder.cacheBytes)
    } of caches` +
    (gpu
      ? `; on the GPU ${mebibytes(gpu.weights)} of weights, ${
        mebibytes(gpu.caches)
      } of caches, ` +
        `${mebibytes(gpu.scratch)} of scratch`
      : "");
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
