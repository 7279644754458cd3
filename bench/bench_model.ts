/**
 * The model under measurement, and decoders of whatever ring size a measurement needs on it. Our
 * graph attends over all rows of the ring, so the ring's size is what a step costs.
 *
 * @module
 */
import { join } from "node:path";
import type { CacheFormat } from "../lib/cache/cache_format.ts";
import { SinkWindow } from "../lib/cache/sink_window.ts";
import { readCalibration } from "../lib/calibration/calibration.ts";
import type { Config } from "../lib/config.ts";
import type { Decoder } from "../lib/decoder/decoder.ts";
import type { HostModel } from "../lib/decoder/host_decoder.ts";
import {
  type DecoderRoom,
  hostDecoder,
  hostEngine,
  openDecoder,
  openHostModel,
  ringShape,
} from "../lib/decoder/open_decoder.ts";
import { RecomputingDecoder } from "../lib/decoder/recomputing_decoder.ts";
import { chooseEngine } from "../lib/engine/choose.ts";
import { familyOf } from "../lib/graph/convert.ts";
import { locateModel, terminalProgress } from "../lib/models/mod.ts";
import { createTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";
import { readGgufVocabulary } from "../lib/text/gguf_vocabulary.ts";
import { openGguf } from "../lib/weights/gguf.ts";

/** How a decoder keeps its caches. */
export interface BenchRoom {
  /** Default: 1. */
  readonly slots?: number;
  /** Default: in the engine's own precision, all layers alike. */
  readonly format?: CacheFormat;
  /** Layers that are lazy, if the format is layered; default: half of them. */
  readonly lazyLayers?: number;
}

/** A model that measurements can run. */
export interface BenchModel {
  readonly id: string;
  readonly path: string;
  readonly sha256: string;
  readonly engine: string;
  /** Why this engine. */
  readonly reason: string;
  readonly threads: number;
  readonly tokenizer: Tokenizer;
  readonly layers: number;
  /**
   * A decoder with just the policy's rows, on the graph that a server with such a window and such
   * caches has.
   */
  decoder(policy: SinkWindow, room?: BenchRoom): Promise<Decoder>;
  release(): Promise<void>;
}

/**
 * Opens the configured model.
 *
 * @throws {Error} if it cannot be found, or the engine cannot run here.
 */
export async function openBenchModel(config: Config): Promise<BenchModel> {
  const located = await locateModel(config.model, {
    directory: config.modelsDirectory,
    onProgress: terminalProgress(),
  });
  using file = await openGguf(located.path);
  const { engine, reason } = await chooseEngine(config.engine, {
    preference: config.gpu,
  });
  const decoders = engine === "webgpu"
    ? gpuDecoders(located, config)
    : hostDecoders(located, engine, config);
  return {
    ...located,
    ...decoders,
    engine,
    reason,
    threads: config.threads,
    layers: familyOf(file.metadata).readCacheShape(file.metadata).layers,
    tokenizer: createTokenizer(readGgufVocabulary(file.metadata)),
  };
}

type Decoders = Pick<BenchModel, "decoder" | "release">;

/** Decoders in host memory: those of equal windows, in blocks, and equal formats share a graph. */
function hostDecoders(
  model: { path: string; sha256: string },
  name: "native" | "wasm",
  { threads, modelsDirectory }: Config,
): Decoders {
  const engine = hostEngine(name);
  const opened = new Map<string, Promise<HostModel>>();
  const decoders: Decoder[] = [];
  const graphs = join(modelsDirectory, "graphs");
  const calibration = readCalibration({ sha256: model.sha256, graphs });
  const open = async (room: DecoderRoom) => {
    using file = await openGguf(model.path);
    const source = { file, sha256: model.sha256, graphs };
    const rings = { ...ringShape(room, engine), threads, ownThread: true };
    return await openHostModel(engine, source, rings);
  };
  return {
    async decoder({ sinks, window }, options) {
      const keptLayers = (await calibration)?.keptLayers ?? [];
      const room = { sinks, window, slots: 1, keptLayers, ...options };
      const { blocks, formats, layered } = ringShape(room, engine);
      const key = `${blocks} ${formats.name} ${layered}`;
      const graph = opened.get(key) ?? open(room);
      opened.set(key, graph);
      graph.catch(() => opened.delete(key)); // there is nothing to release
      const decoder = hostDecoder(await graph, room, engine);
      decoders.push(decoder);
      return decoder;
    },
    async release() {
      for (const decoder of decoders) await decoder.release();
    },
  };
}

/** Decoders on the GPU, each with a device of its own. */
function gpuDecoders(
  model: { path: string; sha256: string },
  config: Config,
): Decoders {
  const opened: Decoder[] = [];
  return {
    async decoder({ sinks, window }, options) {
      using file = await openGguf(model.path);
      const graphs = join(config.modelsDirectory, "graphs");
      const source = { file, sha256: model.sha256, graphs };
      const room = { sinks, window, slots: 1, ...options };
      const decoder = await openDecoder("webgpu", source, room, config);
      opened.push(decoder);
      return decoder;
    },
    async release() {
      for (const decoder of opened) await decoder.release();
    },
  };
}

/** Sinks of every policy that is measured. */
export const SINKS = 4;

/** The policy that holds `held` tokens. */
export function policyOf(held: number): SinkWindow {
  return new SinkWindow(SINKS, held - SINKS);
}

/** One conversation on a decoder of its own. */
export class BenchStream {
  readonly decoder: Decoder;
  readonly #policy: SinkWindow;

  private constructor(decoder: Decoder, policy: SinkWindow) {
    this.decoder = decoder;
    this.#policy = policy;
    this.restart();
  }

  /** Starts a conversation on a decoder with just the policy's rows. */
  static async open(
    model: BenchModel,
    policy: SinkWindow,
    room: BenchRoom = {},
  ): Promise<BenchStream> {
    const decoder = new RecomputingDecoder(await model.decoder(policy, room));
    return new BenchStream(decoder, policy);
  }

  /** Forgets everything. */
  restart(): void {
    this.decoder.open(0, this.#policy);
  }

  /** Appends tokens, as many a run as it takes; gives the last one's logits, `[vocabulary]`. */
  async append(tokens: readonly number[]): Promise<Float32Array> {
    let logits = new Float32Array(0);
    for (let at = 0; at < tokens.length;) {
      const chunk = tokens.slice(at, at + this.decoder.limit(0));
      at += chunk.length;
      const wanted = at === tokens.length ? 1 : 0;
      const [result] = await this.decoder.run([{
        slot: 0,
        tokens: chunk,
        logits: wanted,
      }]);
      logits = result as Float32Array<ArrayBuffer>;
    }
    return logits;
  }
}

/** What the peers are given too: how fast a token is does not depend on which one it is. */
const SENTENCE = "The quick brown fox jumps over the lazy dog. ";

/** `count` tokens of a sentence repeated. */
export function sentenceTokens(tokenizer: Tokenizer, count: number): number[] {
  const sentence = tokenizer.encode(SENTENCE);
  return Array.from(
    { length: count },
    (_, i) => sentence[i % sentence.length]!,
  );
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
