/**
 * From configuration to a model that answers: file → tokenizer and template → graph → engine →
 * decoder with its slots, for each kind of cache.
 *
 * @module
 */
import { join } from "node:path";
import type { CacheFormat } from "./cache/cache_format.ts";
import { offeredFormats } from "./cache/policy.ts";
import type { ModelCache } from "./chat/cache_lane.ts";
import { lazyLayerCount } from "./cache/lazy_share.ts";
import { readCalibration } from "./calibration/calibration.ts";
import { ChatService } from "./chat/chat_service.ts";
import { createChatTemplate } from "./chat/template.ts";
import type { Config } from "./config.ts";
import type { Decoder } from "./decoder/decoder.ts";
import { openDecoder } from "./decoder/open_decoder.ts";
import { RecomputingDecoder } from "./decoder/recomputing_decoder.ts";
import { chooseEngine, type ChosenEngine } from "./engine/choose.ts";
import type { SessionOptions } from "./engine/engine.ts";
import { CONVERTER_VERSION, familyOf } from "./graph/convert.ts";
import type { CacheShape } from "./graph/decoder_shape.ts";
import { locateModel, terminalProgress } from "./models/mod.ts";
import type { CacheSetup } from "./plan/cache_setup.ts";
import { readGgufVocabulary } from "./text/gguf_vocabulary.ts";
import { createTokenizer, type Tokenizer } from "./text/tokenizer.ts";
import { openGguf } from "./weights/gguf.ts";

/** The parts of a loaded model, for programs that want more than the service. */
export interface LoadedModel {
  readonly id: string;
  readonly path: string;
  readonly tokenizer: Tokenizer;
  readonly chosen: ChosenEngine;
  readonly service: ChatService;
  /** Its kinds of caches, the standard one first. */
  readonly formats: readonly ModelCache[];
  /** What the sizes of its caches depend on. */
  readonly caches: CacheSetup;
  /** Frees the model. */
  release(): Promise<void>;
}

/**
 * Loads the model that the configuration names, fetching and converting it if need be.
 *
 * @param options.ownThread whether nothing else runs on this thread (`SessionOptions`)
 * @throws {Error} with what was tried and what to do, if any step fails.
 */
export async function loadModel(
  config: Config,
  { ownThread }: Pick<SessionOptions, "ownThread"> = {},
): Promise<LoadedModel> {
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
  const shape = familyOf(file.metadata).readCacheShape(file.metadata);
  const source = {
    file,
    sha256: located.sha256,
    graphs: join(config.modelsDirectory, "graphs"),
  };
  const { sinks, window, policies, limits } = config;
  const room = {
    sinks: sinks === "system" ? config.systemSinks : sinks,
    window,
  };
  const offered = offeredFormats(policies, config.kvBits);
  const calibration = await readCalibration(source);
  const lazyLayers = lazyLayerCount(
    config.lazyLayers,
    shape.layers,
    calibration?.lazyLayers,
  );
  const memory = Math.floor(config.memory / offered.length);
  const keptLayers = calibration?.keptLayers ?? [];
  const formats = await openCaches(offered, async (format) => {
    const { engine } = chosen;
    const of = { ...room, format, lazyLayers, keptLayers, slots: { memory } };
    const options = { ...config, ownThread };
    const decoder = await openDecoder(engine, source, of, options);
    return {
      format: engine === "webgpu" ? gpuFormat(format, decoder, shape) : format,
      decoder: format.layered ? decoder : new RecomputingDecoder(decoder),
    };
  });
  const layout = { shape, ...room, lazyLayers };
  const service = new ChatService({
    id: located.id,
    fingerprint: {
      model: located.sha256,
      precision: JSON.stringify([
        chosen.engine, // each has rows lie as it reads them
        CONVERTER_VERSION,
        layout,
        keptLayers,
      ]),
    },
    caches: formats,
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
    tokenizer,
    chosen,
    service,
    formats,
    caches: { ...layout, memory },
    release: () => releaseAll(formats),
  };
}

/** Opens all kinds of caches, or none. */
async function openCaches(
  formats: readonly CacheFormat[],
  open: (format: CacheFormat) => Promise<ModelCache>,
): Promise<ModelCache[]> {
  const opened: ModelCache[] = [];
  try {
    // One after the other: opening takes more memory than what is open does.
    for (const format of formats) opened.push(await open(format));
    return opened;
  } catch (error) {
    await releaseAll(opened);
    if (formats.length === 1 || !(error instanceof RangeError)) throw error;
    throw new RangeError(
      `${error.message}. EVERSTREAM_MEMORY is divided among ${formats.length} kinds of caches ` +
        `(EVERSTREAM_KV_BITS, EVERSTREAM_POLICIES)`,
      { cause: error },
    );
  }
}

async function releaseAll(caches: readonly ModelCache[]): Promise<void> {
  for (const { decoder } of caches) await decoder.release();
}

/** On a GPU 32 bits stand for the precision that it computes in, which the size of its rows tells. */
function gpuFormat(
  format: CacheFormat,
  { tokenBytes }: Decoder,
  { layers, kvHeads, headDim }: CacheShape,
): CacheFormat {
  const inHalves = tokenBytes === 2 * layers * 2 * kvHeads * headDim;
  return format.kvBits === 32 && inHalves ? { ...format, kvBits: 16 } : format;
}

/** One line for the log: what was loaded, where it runs and why, and what it holds. */
export function describeModel(
  { id, chosen, formats }: Pick<LoadedModel, "id" | "chosen" | "formats">,
): string {
  return [
    `Model ${id} on ${chosen.engine} (${chosen.reason})`,
    ...formats.map(describeCache),
  ].join("; ");
}

function describeCache({ format, decoder }: ModelCache): string {
  const { sinks, window } = decoder.room;
  const gpu = decoder.gpuBytes;
  return `${decoder.slots} slots of ${sinks} sinks + ${window} tokens in ${format.kvBits} bits` +
    `${format.layered ? ", some layers lazy" : ""}, ${
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
