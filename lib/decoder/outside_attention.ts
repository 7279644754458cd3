/**
 * Attention outside of the graph: of single tokens by our own kernel, of longer chunks by the engine's operators.
 *
 * @module
 */
import { ChunkAttention } from "../attend/chunk_attention.ts";
import { type NewRows, StepAttention } from "../attend/step_attention.ts";
import type { LayerCache, SlotLayout } from "../cache/layout.ts";
import type { RingMemory } from "../cache/ring_memory.ts";
import type { ClaimRows } from "../cache/layer_memory.ts";
import type { DirectSession, RunAttention } from "../engine/engine.ts";
import type { Code } from "../engine/native/machine_code.ts";
import type { AttentionGraph } from "../graph/attention/attended.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";
import type { Lane, RunInputs } from "./run_inputs.ts";

/** What attends beside a graph. */
export interface AttentionModel {
  readonly kernel: Code;
  readonly graph: AttentionGraph;
  /** The graph, opened. */
  readonly session: DirectSession;
}

/** A conversation's part of a run, and where its cache is. */
export type SlotLane = Lane & { readonly slot: number };

/** Attends in a run, and collects the new rows. */
export interface CollectedAttention extends RunAttention {
  /** By conversation: whole when the run is over. */
  readonly rows: readonly NewRows[];
}

/** Attends for one decoder. */
export class OutsideAttention {
  readonly #shape: AttentionShape;
  readonly #inputs: RunInputs;
  readonly #session: DirectSession;
  readonly #steps: StepAttention;
  readonly #chunks: ChunkAttention;
  readonly #layers: number;
  readonly #layout: SlotLayout;

  /** Claims the memory of all slots. */
  constructor(
    { kernel, graph, session }: AttentionModel,
    { shape, inputs, layers, slots }: {
      shape: AttentionShape;
      inputs: RunInputs;
      layers: readonly LayerCache[];
      slots: number;
    },
  ) {
    this.#shape = shape;
    this.#layers = layers.length;
    this.#layout = layers[0]!.layout;
    this.#inputs = inputs;
    this.#session = session;
    this.#steps = new StepAttention({ kernel, shape, layers, slots });
    this.#chunks = new ChunkAttention(session, graph, shape);
  }

  /** Where a layer's tensors, of all slots, are claimed. */
  rowsOf(layer: number): ClaimRows {
    return this.#steps.rowsOf(layer);
  }

  /** Attends with a token of each of some conversations, in any slots. */
  step(lanes: readonly SlotLane[]): CollectedAttention {
    const rows = this.#steps.begin(lanes.map((lane) => {
      const { slot, policy, seen, boundaries } = lane;
      const { tailRows } = this.#layout;
      return {
        slot,
        seen: policy.seenRows(seen, { stored: seen, tailRows, boundaries }),
        angles: this.#inputs.stepAngles(lane),
      };
    }));
    return {
      rows,
      sizes: this.#sizes(lanes.length),
      attend: (node) => this.#steps.attend(node),
    };
  }

  /**
   * Attends with several tokens of one conversation.
   *
   * @param layout the stored rows that they see
   */
  chunk(
    lane: SlotLane,
    { memory, layout }: { memory: RingMemory; layout: SlotLayout },
  ): CollectedAttention {
    const context = this.#inputs.context([lane], layout);
    const range = { first: lane.slot, count: 1 };
    const caches = (layer: number) =>
      Object.fromEntries(
        memory.views(layer, range, layout).map(({ name, data, dims }) => [
          `${name}_0`,
          this.#session.tensor(data, dims),
        ]),
      );
    const tokens = lane.tokens.length;
    const size = this.#shape.kvHeads * tokens * this.#shape.headDim;
    const keys = new Float32Array(this.#layers * size);
    const values = new Float32Array(this.#layers * size);
    return {
      rows: [{ keys, values }],
      sizes: this.#sizes(tokens),
      attend: ({ layer, projections, attended }) => {
        const of = (rows: Float32Array) =>
          rows.subarray(layer * size, (layer + 1) * size);
        this.#chunks.attend({ ...context, ...caches(layer) }, {
          projections,
          attended,
          keys: of(keys),
          values: of(values),
        });
      },
    };
  }

  #sizes(tokens: number): RunAttention["sizes"] {
    const { heads, kvHeads, headDim } = this.#shape;
    return {
      projections: tokens * (heads + 2 * kvHeads) * headDim,
      attended: tokens * heads * headDim,
    };
  }

  /** Frees the graph. */
  async release(): Promise<void> {
    await this.#chunks.release();
  }
}
