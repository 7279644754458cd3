/**
 * The inputs of a run, but for the caches: what tokens and positions come to as embeddings, angles
 * and a mask.
 *
 * @module
 */
import { type SlotLayout, windowRows } from "../cache/layout.ts";
import type { Held } from "../cache/held.ts";
import { HIDDEN } from "../cache/sink_window.ts";
import type { EngineSession, EngineTensor } from "../engine/engine.ts";
import { CONTEXT } from "../graph/attention/grouped_query.ts";
import type { DecoderShape } from "../graph/decoder_shape.ts";
import { AngleTable } from "./angle_table.ts";
import type { EmbeddingTable } from "./embedding_table.ts";

/** A conversation's part of a run. */
export interface Lane extends Held {
  readonly tokens: readonly number[];
  /** Of how many of its last tokens logits are wanted. */
  readonly logits: number;
}

/** Builds inputs for one graph. */
export class RunInputs {
  readonly #session: EngineSession;
  readonly #embeddings: EmbeddingTable;
  readonly #heads: readonly [count: number, width: number];
  readonly #angles: AngleTable;

  constructor(
    session: EngineSession,
    embeddings: EmbeddingTable,
    shape: DecoderShape,
  ) {
    this.#session = session;
    this.#embeddings = embeddings;
    this.#heads = [shape.heads + 2 * shape.kvHeads, shape.headDim];
    this.#angles = new AngleTable(shape);
  }

  /**
   * The inputs of a batch.
   *
   * @param lanes one for each slot of the batch, all with as many tokens; `null` for a slot that idles
   * @param layout the stored rows that the run sees
   * @throws {RangeError} if there is no such token
   */
  build(
    lanes: readonly (Lane | null)[],
    layout: SlotLayout,
  ): Record<string, EngineTensor> {
    const batch = lanes.length;
    const chunk = lanes.find((lane) => lane !== null)!.tokens.length;
    const all = batch * chunk;
    const { hidden } = this.#embeddings;
    const { sinkRows, blocks } = layout;
    const stored = sinkRows + windowRows(layout);
    const columns = stored + chunk;

    const embeddings = new Float32Array(all * hidden);
    // The tokens' own positions first, then those at which they ask the sinks.
    const positions = Array<number>(2 * all).fill(0);
    const mask = new Float32Array(all * columns);
    const wanted: number[] = [];
    for (const [b, lane] of lanes.entries()) {
      const first = b * chunk;
      const rows = mask.subarray(first * columns, (first + chunk) * columns);
      if (lane === null) {
        hideStored(rows, chunk, columns);
        continue;
      }
      const { tokens, logits, policy, seen, boundaries } = lane;
      const own = { seen, count: chunk, chunkColumns: chunk, boundaries };
      policy.fillMask(rows, own, { sinkRows, windowRows: stored - sinkRows });
      for (const [t, token] of tokens.entries()) {
        const row = first + t;
        this.#embeddings.write(
          token,
          embeddings.subarray(row * hidden, (row + 1) * hidden),
        );
        positions[row] = seen + t;
        positions[all + row] = policy.sinkQueryPosition(
          seen + t,
          boundaries,
        );
        if (t >= chunk - logits) wanted.push(row);
      }
    }
    if (wanted.length === 0) wanted.push(0); // a run always gives some

    const { cos, sin } = this.#angles.rows(positions);
    const angles = [2 * all, this.#angles.half];
    const tensor = this.#session.tensor.bind(this.#session);
    const integers = (values: readonly number[], dims = [values.length]) =>
      tensor(BigInt64Array.from(values, BigInt), dims);
    const count = (length: number, from: number) =>
      Array.from({ length }, (_, i) => from + i);
    return {
      embeddings: tensor(embeddings, [all, hidden]),
      [CONTEXT.position]: integers(count(all, 0), [batch, chunk]),
      [CONTEXT.sinkPosition]: integers(count(all, all), [batch, chunk]),
      [CONTEXT.cos]: tensor(cos, angles),
      [CONTEXT.sin]: tensor(sin, angles),
      [CONTEXT.mask]: tensor(mask, [batch, 1, 1, chunk, columns]),
      [CONTEXT.split]: integers([
        sinkRows + blocks[0]!,
        ...blocks.slice(1),
        chunk,
      ]),
      [CONTEXT.heads]: integers([batch, chunk, ...this.#heads]),
      logit_tokens: integers(wanted),
    };
  }
}

/** The mask of an idle slot: each token sees those of its chunk, which are nothing, and no other. */
function hideStored(mask: Float32Array, chunk: number, columns: number): void {
  mask.fill(HIDDEN);
  for (let row = 0; row < chunk; row++) {
    mask.fill(0, (row + 1) * columns - chunk, (row + 1) * columns);
  }
}
