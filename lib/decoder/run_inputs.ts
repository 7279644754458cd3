/**
 * The inputs of a run, but for the caches: what tokens and positions come to as embeddings, angles
 * and masks.
 *
 * @module
 */
import { type SlotLayout, windowRows } from "../cache/layout.ts";
import type { Held } from "../cache/held.ts";
import { HIDDEN, type SinkWindow } from "../cache/sink_window.ts";
import type { EngineSession, EngineTensor } from "../engine/engine.ts";
import {
  CONTEXT,
  type GroupedQueryAttention,
  layerInput,
} from "../graph/attention/grouped_query.ts";
import type { DecoderPlan } from "../graph/convert.ts";
import { AngleTable } from "./angle_table.ts";
import type { EmbeddingTable } from "./embedding_table.ts";

/** A conversation's part of a run. */
export interface Lane extends Held {
  readonly tokens: readonly number[];
  /** Of how many of its last tokens logits are wanted. */
  readonly logits: number;
}

/** What some layers keep of the conversation that a run is of. */
export interface LayerRows {
  readonly layers: readonly number[];
  readonly policy: SinkWindow;
  /** The stored rows that the run sees. */
  readonly layout: SlotLayout;
  /** Whether the weight on the row of a position is counted as near. */
  isNear(position: number): boolean;
}

/** Builds inputs for one graph. */
export class RunInputs {
  readonly #session: EngineSession;
  readonly #embeddings: EmbeddingTable;
  readonly #heads: readonly [count: number, width: number];
  readonly #angles: AngleTable;
  readonly #attention: GroupedQueryAttention;

  constructor(
    session: EngineSession,
    embeddings: EmbeddingTable,
    { shape, attention }: DecoderPlan<GroupedQueryAttention>,
  ) {
    this.#session = session;
    this.#embeddings = embeddings;
    this.#attention = attention;
    this.#heads = [shape.heads + 2 * shape.kvHeads, shape.headDim];
    this.#angles = new AngleTable(shape);
  }

  /** What tokens come to, wherever they stand: all that a graph takes which leaves attention to others. */
  tokens(lanes: readonly (Lane | null)[]): Record<string, EngineTensor> {
    const chunk = chunkOf(lanes);
    const { hidden } = this.#embeddings;
    const embeddings = new Float32Array(lanes.length * chunk * hidden);
    const wanted: number[] = [];
    for (const [b, lane] of lanes.entries()) {
      if (lane === null) continue;
      for (const [t, token] of lane.tokens.entries()) {
        const row = b * chunk + t;
        const at = row * hidden;
        this.#embeddings.write(token, embeddings.subarray(at, at + hidden));
        if (t >= chunk - lane.logits) wanted.push(row);
      }
    }
    if (wanted.length === 0) wanted.push(0); // a run always gives some
    return {
      embeddings: this.#floats(embeddings, [lanes.length * chunk, hidden]),
      logit_tokens: this.#integers(wanted),
    };
  }

  /** Cosines and sines of a single token's position, then of the one at which it asks the sinks: `[4, half]`. */
  stepAngles(lane: Lane): Float32Array {
    const { half } = this.#angles;
    const positions = [lane.seen, sinkPosition(lane, 0)];
    const { cos, sin } = this.#angles.rows(positions);
    const angles = new Float32Array(4 * half);
    for (const i of positions.keys()) {
      const of = (table: Float32Array) =>
        table.subarray(i * half, (i + 1) * half);
      angles.set(of(cos), 2 * i * half);
      angles.set(of(sin), (2 * i + 1) * half);
    }
    return angles;
  }

  /**
   * What attention reads beside the caches, of a batch whose layers all keep the same tokens.
   *
   * @param lanes one for each slot of the batch, all with as many tokens; `null` for a slot that idles
   * @param layout the stored rows that the run sees
   */
  context(
    lanes: readonly (Lane | null)[],
    layout: SlotLayout,
  ): Record<string, EngineTensor> {
    const batch = lanes.length;
    const chunk = chunkOf(lanes);
    const columns = storedRows(layout) + chunk;
    const mask = new Float32Array(batch * chunk * columns);
    const asked = Array<number>(batch * chunk).fill(0);
    for (const [b, lane] of lanes.entries()) {
      const first = b * chunk;
      const rows = mask.subarray(first * columns, (first + chunk) * columns);
      if (lane === null) {
        hideStored(rows, chunk, columns);
        continue;
      }
      fillMask(rows, lane, layout);
      for (let t = 0; t < chunk; t++) asked[first + t] = sinkPosition(lane, t);
    }
    const [position, [sinkPositions], angles] = this.#positions(lanes, [asked]);
    return {
      ...angles,
      [CONTEXT.heads]: this.#divided(batch, chunk),
      [CONTEXT.position]: position,
      [CONTEXT.sinkPosition]: sinkPositions!,
      [CONTEXT.mask]: this.#floats(mask, [batch, 1, 1, chunk, columns]),
      [CONTEXT.split]: this.#integers(this.#attention.split(layout, chunk)),
      ...this.#attention.divided
        ? { [CONTEXT.blocks]: this.#integers(layout.blocks) }
        : {},
    };
  }

  /**
   * The inputs of one conversation's run, whose layers keep different tokens.
   *
   * @throws {RangeError} if there is no such token
   */
  buildLayered(
    lane: Lane,
    groups: readonly LayerRows[],
  ): Record<string, EngineTensor> {
    const chunk = lane.tokens.length;
    const asked = groups.map(({ policy }) =>
      lane.tokens.map((_, t) => sinkPosition({ ...lane, policy }, t))
    );
    const [position, sinkPositions, angles] = this.#positions([lane], asked);
    const inputs: Record<string, EngineTensor> = {
      ...this.tokens([lane]),
      ...angles,
      [CONTEXT.heads]: this.#divided(1, chunk),
      [CONTEXT.position]: position,
    };
    for (const [g, { layers, policy, layout, isNear }] of groups.entries()) {
      const columns = storedRows(layout) + chunk;
      const mask = new Float32Array(chunk * columns);
      fillMask(mask, { ...lane, policy }, layout);
      const near = new Float32Array(columns);
      fillNear(near, { ...lane, policy }, { layout, isNear });
      const own = {
        sinkPosition: sinkPositions[g]!,
        mask: this.#floats(mask, [1, 1, 1, chunk, columns]),
        near: this.#floats(near, [1, 1, 1, columns, 1]),
        split: this.#integers(this.#attention.split(layout, chunk)),
        ...this.#attention.divided
          ? { blocks: this.#integers(layout.blocks) }
          : {},
      };
      for (const layer of layers) {
        for (const [name, tensor] of Object.entries(own)) {
          inputs[layerInput(name as keyof typeof own, layer)] = tensor;
        }
      }
    }
    return inputs;
  }

  /** Angles of the tokens' own positions, then of those at which they ask the sinks, and which rows are whose. */
  #positions(
    lanes: readonly (Lane | null)[],
    asked: readonly (readonly number[])[],
  ): [
    own: EngineTensor,
    asked: EngineTensor[],
    angles: Record<string, EngineTensor>,
  ] {
    const chunk = chunkOf(lanes);
    const all = lanes.length * chunk;
    const own = lanes.flatMap((lane) =>
      Array.from({ length: chunk }, (_, t) => lane ? lane.seen + t : 0)
    );
    const { cos, sin } = this.#angles.rows([...own, ...asked.flat()]);
    const dims = [(1 + asked.length) * all, this.#angles.half];
    const rowsFrom = (first: number) =>
      this.#integers(Array.from({ length: all }, (_, i) => first + i), [
        lanes.length,
        chunk,
      ]);
    return [
      rowsFrom(0),
      asked.map((_, i) => rowsFrom((1 + i) * all)),
      {
        [CONTEXT.cos]: this.#floats(cos, dims),
        [CONTEXT.sin]: this.#floats(sin, dims),
      },
    ];
  }

  /** How tokens divide into conversations. */
  #divided(batch: number, chunk: number): EngineTensor {
    return this.#integers([batch, chunk, ...this.#heads]);
  }

  #integers(values: readonly number[], dims = [values.length]): EngineTensor {
    return this.#session.tensor(BigInt64Array.from(values, BigInt), dims);
  }

  #floats(values: Float32Array, dims: readonly number[]): EngineTensor {
    return this.#session.tensor(values, dims);
  }
}

/** Tokens of each lane. */
function chunkOf(lanes: readonly (Lane | null)[]): number {
  return lanes.find((lane) => lane !== null)!.tokens.length;
}

/** Position at which a lane's token `t` asks the sinks. */
function sinkPosition({ policy, seen, boundaries }: Held, t: number): number {
  return policy.sinkQueryPosition(seen + t, boundaries);
}

/** Stored rows that a run sees. */
function storedRows(layout: SlotLayout): number {
  return layout.sinkRows + layout.tailRows + windowRows(layout);
}

/** Fills in which rows a lane's tokens see, `[chunk, storedRows + chunk]`. */
function fillMask(mask: Float32Array, lane: Lane, layout: SlotLayout): void {
  const { seen, boundaries, tokens: { length } } = lane;
  const chunk = { seen, count: length, chunkColumns: length, boundaries };
  lane.policy.fillMask(mask, chunk, {
    ...layout,
    windowRows: windowRows(layout),
  });
}

/** Fills in 1 for the columns of near positions, wherever they are kept. */
function fillNear(
  near: Float32Array,
  { policy, seen, tokens }: Lane,
  { layout, isNear }: Pick<LayerRows, "layout" | "isNear">,
): void {
  const { sinkRows, tailRows } = layout;
  for (let q = Math.max(0, seen - policy.window); q < seen; q++) {
    if (!isNear(q) || q < policy.sinks) continue;
    if (tailRows > 0 && q >= seen - tailRows) near[sinkRows + q % tailRows] = 1;
    near[sinkRows + tailRows + policy.place(q).index] = 1;
  }
  for (let q = 0; q < Math.min(seen, policy.sinks); q++) {
    if (isNear(q)) near[q] = 1;
  }
  for (const t of tokens.keys()) {
    if (isNear(seen + t)) near[storedRows(layout) + t] = 1;
  }
}

/** The mask of an idle slot: each token sees those of its chunk, which are nothing, and no other. */
function hideStored(mask: Float32Array, chunk: number, columns: number): void {
  mask.fill(HIDDEN);
  for (let row = 0; row < chunk; row++) {
    mask.fill(0, (row + 1) * columns - chunk, (row + 1) * columns);
  }
}
