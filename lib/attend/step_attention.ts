/**
 * Attention of steps of one token, of any conversations together: our own kernel over rows where they lie, on the
 * engine's own threads.
 *
 * @module
 */
import {
  attendConstants,
  FIELD,
  headsOfItem,
  JOB,
  LANE,
} from "../../kernels/attend_job.ts";
import type { LayerCache, SlotLayout } from "../cache/layout.ts";
import type { ClaimRows } from "../cache/layer_memory.ts";
import type { SinkWindow } from "../cache/sink_window.ts";
import type { AttendNode } from "../engine/engine.ts";
import { addressOf } from "../engine/native/address.ts";
import type { Code } from "../engine/native/machine_code.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";
import { partTable } from "./part_table.ts";
import { RowArena } from "./row_arena.ts";
import { mostRuns, rowRuns } from "./row_runs.ts";

/** One conversation's part of a step. */
export interface StepLane {
  readonly slot: number;
  /** The stored rows that its token sees. */
  readonly seen: ReturnType<SinkWindow["seenRows"]>;
  /** Cosines and sines of its position, then of the one at which it asks the sinks: `[4, headDim / 2]`. */
  readonly angles: Float32Array;
}

/** New rows of a conversation, `[layers × kvHeads, tokens, headDim]`. */
export interface NewRows {
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** Attends for one decoder. */
export class StepAttention {
  readonly #kernel: Code;
  readonly #shape: AttentionShape;
  readonly #layout: SlotLayout;
  readonly #arena: RowArena;
  /** What the kernel reads, all of which lies where it is as long as this lives. */
  readonly #constants = attendConstants();
  readonly #parts: readonly BigUint64Array<ArrayBuffer>[];
  readonly #book: BigUint64Array<ArrayBuffer>;
  readonly #angles: Float32Array<ArrayBuffer>;
  readonly #job = new BigUint64Array(JOB.fields);
  /** New rows of all lanes. */
  readonly #keys: Float32Array<ArrayBuffer>;
  readonly #values: Float32Array<ArrayBuffer>;
  #lanes = 0;

  /** Claims the memory of all slots. */
  constructor({ kernel, shape, layers, slots }: {
    /** For heads of this shape. */
    kernel: Code;
    shape: AttentionShape;
    /** All of one layout. */
    layers: readonly LayerCache[];
    slots: number;
  }) {
    const { kvHeads, headDim } = shape;
    this.#kernel = kernel;
    this.#shape = shape;
    this.#layout = layers[0]!.layout;
    this.#arena = new RowArena(layers, slots);
    this.#parts = layers.map((layer, l) =>
      partTable(layer, (tensor) => this.#arena.address(l, tensor))
    );
    this.#book = new BigUint64Array(slots * this.#laneFields);
    this.#angles = new Float32Array(slots * 2 * headDim);
    const row = layers.length * kvHeads * headDim;
    this.#keys = new Float32Array(slots * row);
    this.#values = new Float32Array(slots * row);
    const job = this.#job;
    job[JOB.lanes] = addressOf(this.#book);
    job[JOB.laneBytes] = BigInt(this.#laneFields * FIELD);
    job[JOB.newRowBytes] = BigInt(row * this.#keys.BYTES_PER_ELEMENT);
    job[JOB.constants] = addressOf(this.#constants);
  }

  /** Where a layer's tensors, of all slots, are claimed. */
  rowsOf(layer: number): ClaimRows {
    return this.#arena.rowsOf(layer);
  }

  /**
   * Begins a step: says who is in it. Gives each one's new rows, which are whole when the step has attended in all
   * layers, and are there until the next one.
   */
  begin(lanes: readonly StepLane[]): NewRows[] {
    this.#lanes = lanes.length;
    const { kvHeads, headDim } = this.#shape;
    const angles = addressOf(this.#angles);
    for (const [i, lane] of lanes.entries()) {
      const first = i * 2 * headDim;
      this.#angles.set(lane.angles, first);
      const runs = rowRuns(lane.seen, this.#layout);
      const fields = this.#book.subarray(i * this.#laneFields);
      fields[LANE.line] = BigInt(lane.slot * kvHeads);
      fields[LANE.angles] = angles +
        BigInt(first * this.#angles.BYTES_PER_ELEMENT);
      fields[LANE.runs] = BigInt(runs.length);
      for (const [r, { part, first, rows }] of runs.entries()) {
        const run = LANE.first + r * LANE.run.fields;
        fields[run + LANE.run.part] = BigInt(part);
        fields[run + LANE.run.first] = BigInt(first);
        fields[run + LANE.run.rows] = BigInt(rows);
      }
    }
    const row = this.#parts.length * kvHeads * headDim;
    return lanes.map((_, i) => ({
      keys: this.#keys.subarray(i * row, (i + 1) * row),
      values: this.#values.subarray(i * row, (i + 1) * row),
    }));
  }

  /** Attends in one layer. */
  attend({ layer, projections, attended, forEach }: AttendNode): void {
    const { heads, kvHeads, headDim } = this.#shape;
    const own = BigInt(
      layer * kvHeads * headDim * this.#keys.BYTES_PER_ELEMENT,
    );
    const job = this.#job;
    job[JOB.parts] = addressOf(this.#parts[layer]!);
    job[JOB.projections] = addressOf(projections);
    job[JOB.attended] = addressOf(attended);
    job[JOB.keys] = addressOf(this.#keys) + own;
    job[JOB.values] = addressOf(this.#values) + own;
    const items = this.#lanes * heads / headsOfItem(this.#shape);
    forEach(items, this.#kernel, job);
  }

  get #laneFields(): number {
    return LANE.first + mostRuns(this.#layout) * LANE.run.fields;
  }
}
