/**
 * From configuration to a model that answers: file → tokenizer and template → graph → engine →
 * decoder with its slots.
 *
 * @module
 */
import { join } from "node:path";
import {
  blockCount,
  conversationBytes,
  type SlotLayout,
  slotLayout,
  windowRows,
} from "./cache/layout.ts";
import { ChatService } from "./chat/chat_service.ts";
import { createChatTemplate } from "./chat/template.ts";
import type { Config } from "./config.ts";
import { EmbeddingTable } from "./decoder/embedding_table.ts";
import { OnnxDecoder } from "./decoder/onnx_decoder.ts";
import { chooseEngine, type ChosenEngine } from "./engine/choose.ts";
import {
  type DecoderPlan,
  openDecoderGraph,
  planDecoder,
} from "./graph/convert.ts";
import { locateModel, terminalProgress } from "./models/mod.ts";
import { readGgufVocabulary } from "./text/gguf_vocabulary.ts";
import { createTokenizer, type Tokenizer } from "./text/tokenizer.ts";
import { type GgufFile, openGguf } from "./weights/gguf.ts";

/** The parts of a loaded model, for programs that want more than the service. */
export interface LoadedModel {
  readonly id: string;
  readonly path: string;
  readonly decoder: OnnxDecoder;
  readonly tokenizer: Tokenizer;
  readonly chosen: ChosenEngine;
  readonly service: ChatService;
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
  const chosen = await chooseEngine(config.engine);
  const decoder = await loadDecoder(file, located.sha256, chosen, config);
  const { sinks, window, limits } = config;
  const service = new ChatService({
    id: located.id,
    decoder,
    tokenizer,
    template,
    sinks,
    window,
    limits,
  });
  return {
    id: located.id,
    path: located.path,
    decoder,
    tokenizer,
    chosen,
    service,
  };
}

/** One line for the log: what was loaded, where it runs and why, and what it holds. */
export function describeModel({ id, decoder, chosen }: LoadedModel): string {
  const megabytes = (decoder.cacheBytes / 2 ** 20).toFixed(0);
  const { sinks, window } = decoder.room;
  return `Model ${id} on ${chosen.engine.name} (${chosen.reason}); ` +
    `${decoder.slots} slots of ${sinks} sinks + ${window} tokens, ${megabytes} MiB of caches`;
}

/** Loads just the decoder of an open file. */
export async function loadDecoder(
  file: GgufFile,
  sha256: string,
  chosen: ChosenEngine,
  config: Pick<
    Config,
    | "modelsDirectory"
    | "threads"
    | "memory"
    | "sinks"
    | "systemSinks"
    | "window"
  >,
): Promise<OnnxDecoder> {
  const plan = await planDecoder(file, blockCount(config.window));
  const { engine } = chosen;
  const sinks = config.sinks === "system" ? config.systemSinks : config.sinks;
  const layout = slotLayout(sinks, config.window);
  const slots = slotCount(config.memory, plan, layout);
  const directory = join(config.modelsDirectory, "graphs");
  const graph = await openDecoderGraph(
    { file, plan, sha256 },
    engine.linear,
    directory,
  );
  const [session, embeddings] = await Promise.all([
    engine.open(graph, { threads: config.threads }),
    EmbeddingTable.read(file, plan.family.embedding),
  ]);
  return new OnnxDecoder({ plan, session, embeddings }, {
    layout,
    slots,
    chunk: engine.chunk,
  });
}

/** Slots that fit the memory. */
function slotCount(
  memory: number,
  { shape, attention }: DecoderPlan,
  layout: SlotLayout,
): number {
  const each = conversationBytes({
    layers: shape.layers,
    tensors: attention.tensors,
    bytesPerElement: 4,
  }, layout);
  const slots = Math.floor(memory / each);
  if (slots > 0) return slots;
  throw new RangeError(
    `Cannot keep a conversation in ${memory} bytes (EVERSTREAM_MEMORY): ${layout.sinkRows} sinks ` +
      `and a window of ${
        windowRows(layout)
      } tokens take ${each}. Give at least that, or make ` +
      `EVERSTREAM_WINDOW smaller`,
  );
}
