/**
 * The model under measurement, and decoders of whatever ring size a measurement needs on it. Our
 * graph attends over all rows of the ring, so the ring's size is what a step costs.
 *
 * @module
 */
import { join } from "node:path";
import { blockCount, slotLayout } from "../lib/cache/layout.ts";
import { SinkWindow } from "../lib/cache/sink_window.ts";
import type { Config } from "../lib/config.ts";
import type { Decoder } from "../lib/decoder/decoder.ts";
import { EmbeddingTable } from "../lib/decoder/embedding_table.ts";
import { OnnxDecoder } from "../lib/decoder/onnx_decoder.ts";
import { chooseEngine } from "../lib/engine/choose.ts";
import type { Engine, EngineSession } from "../lib/engine/engine.ts";
import {
  type DecoderPlan,
  openDecoderGraph,
  planDecoder,
} from "../lib/graph/convert.ts";
import { locateModel, terminalProgress } from "../lib/models/mod.ts";
import { createTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";
import { readGgufVocabulary } from "../lib/text/gguf_vocabulary.ts";
import { openGguf } from "../lib/weights/gguf.ts";

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
  /**
   * A decoder of so many slots (1 unless given), each with just the policy's rows, on the graph
   * that a server with such a window has.
   */
  decoder(policy: SinkWindow, slots?: number): Promise<Decoder>;
  release(): Promise<void>;
}

/** What decoders of windows with equally many blocks share. */
interface OpenGraph {
  readonly plan: DecoderPlan;
  readonly session: EngineSession;
  readonly embeddings: EmbeddingTable;
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
  const { engine, reason } = await chooseEngine(config.engine);
  const { threads } = config;
  const graphs = new Map<number, Promise<OpenGraph>>();
  const graphOf = (blocks: number) => {
    const opened = graphs.get(blocks) ??
      openGraph(located, { blocks, engine, config });
    graphs.set(blocks, opened);
    opened.catch(() => graphs.delete(blocks)); // there is nothing to release
    return opened;
  };
  return {
    ...located,
    engine: engine.name,
    reason,
    threads,
    tokenizer: createTokenizer(readGgufVocabulary(file.metadata)),
    decoder: async ({ sinks, window }, slots = 1) =>
      new OnnxDecoder(await graphOf(blockCount(window)), {
        layout: slotLayout(sinks, window),
        slots,
        chunk: engine.chunk,
      }),
    async release() {
      for (const graph of graphs.values()) {
        await (await graph).session.release();
      }
    },
  };
}

async function openGraph(
  model: { path: string; sha256: string },
  { blocks, engine, config }: {
    blocks: number;
    engine: Engine;
    config: Config;
  },
): Promise<OpenGraph> {
  using file = await openGguf(model.path);
  const plan = await planDecoder(file, blocks);
  const graph = await openDecoderGraph(
    { file, plan, sha256: model.sha256 },
    engine.linear,
    join(config.modelsDirectory, "graphs"),
  );
  const session = await engine.open(graph, { threads: config.threads });
  const embeddings = await EmbeddingTable.read(file, plan.family.embedding);
  return { plan, session, embeddings };
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
  ): Promise<BenchStream> {
    return new BenchStream(await model.decoder(policy), policy);
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
