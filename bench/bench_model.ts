/**
 * The model under measurement: one session, and decoders of whatever ring size a measurement
 * needs on it. Our graph attends over all rows of the ring, so the ring's size is what a step costs.
 *
 * @module
 */
import { join } from "node:path";
import { SinkWindow } from "../lib/cache/sink_window.ts";
import type { Config } from "../lib/config.ts";
import type { Decoder } from "../lib/decoder/decoder.ts";
import { EmbeddingTable } from "../lib/decoder/embedding_table.ts";
import { OnnxDecoder } from "../lib/decoder/onnx_decoder.ts";
import { chooseEngine } from "../lib/engine/choose.ts";
import { openDecoderGraph, planDecoder } from "../lib/graph/convert.ts";
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
  /** A decoder of one slot with just the policy's rows; `chunk` is the engine's unless given. */
  decoder(policy: SinkWindow, chunk?: number): Decoder;
  release(): Promise<void>;
}

/**
 * Opens the configured model.
 *
 * @throws {Error} if it cannot be found or converted, or the engine cannot run here.
 */
export async function openBenchModel(config: Config): Promise<BenchModel> {
  const located = await locateModel(config.model, {
    directory: config.modelsDirectory,
    onProgress: terminalProgress(),
  });
  using file = await openGguf(located.path);
  const { engine, reason } = await chooseEngine(config.engine);
  const plan = await planDecoder(file);
  const source = { file, plan, sha256: located.sha256 };
  const graph = await openDecoderGraph(
    source,
    engine.linear,
    join(config.modelsDirectory, "graphs"),
  );
  const { threads } = config;
  const session = await engine.open(graph, { threads });
  const embeddings = await EmbeddingTable.read(file, plan.family.embedding);
  return {
    ...located,
    engine: engine.name,
    reason,
    threads,
    tokenizer: createTokenizer(readGgufVocabulary(file.metadata)),
    decoder: ({ sinks, window }, chunk = engine.chunk) =>
      new OnnxDecoder({ plan, session, embeddings }, {
        layout: { sinkRows: Math.max(1, sinks), windowRows: window },
        slots: 1,
        chunk,
      }),
    release: () => session.release(),
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

  constructor(model: BenchModel, policy: SinkWindow, chunk?: number) {
    this.decoder = model.decoder(policy, chunk);
    this.#policy = policy;
    this.restart();
  }

  /** Forgets everything. */
  restart(): void {
    this.decoder.open(0, this.#policy);
  }

  /** Appends tokens, as many a run as it takes; gives the last one's logits, `[vocabulary]`. */
  async append(tokens: readonly number[]): Promise<Float32Array> {
    let logits = new Float32Array(0);
    for (let at = 0; at < tokens.length;) {
      const limit = this.#policy.chunkLimit(this.decoder.seen(0));
      const chunk = tokens.slice(at, at + Math.min(this.decoder.chunk, limit));
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
