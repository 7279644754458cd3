/**
 * Attention of steps of one token, of any conversations together: our own kernel over rows where they lie, on as
 * many threads as the engine has. While an engine computes, its threads have the CPU, and these sleep; while
 * these attend, the engine's do.
 *
 * @module
 */
import type { LayerCache, SlotLayout } from "../cache/layout.ts";
import type { ClaimRows } from "../cache/layer_memory.ts";
import type { SinkWindow } from "../cache/sink_window.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";
import { Attender, type AttenderSetup } from "./attender.ts";
import type { HelperStart } from "./helper.ts";
import { RowBanks } from "./row_banks.ts";
import { FLOAT, layerAt, mostRuns, rowRuns, scratchOf } from "./step_layout.ts";
import { StepPlan } from "./step_plan.ts";

/** One conversation's part of a step. */
export interface StepLane {
  readonly slot: number;
  /** The stored rows that its token sees. */
  readonly seen: ReturnType<SinkWindow["seenRows"]>;
  /** Cosines and sines of its position, then of the one at which it asks the sinks: `[4, headDim / 2]`. */
  readonly angles: Float32Array;
}

/** Attends for one decoder. */
export class StepAttention {
  readonly #setup: AttenderSetup;
  readonly #layout: SlotLayout;
  readonly #banks: RowBanks;
  readonly #plan: StepPlan;
  readonly #attender: Attender;
  readonly #helpers: Worker[];
  /** Each memory. */
  readonly #floats: readonly Float32Array[];
  #lanes = 0;

  /** Claims the memory of all slots, and starts the threads but for the calling one. */
  constructor({ kernel, shape, layers, slots, threads }: {
    kernel: WebAssembly.Module;
    shape: AttentionShape;
    /** All of one layout. */
    layers: readonly LayerCache[];
    slots: number;
    threads: number;
  }) {
    const { layout } = layers[0]!;
    const scratch = scratchOf(shape, { layout, lanes: slots, threads });
    this.#layout = layout;
    this.#banks = new RowBanks(layers, { slots, scratch: scratch.size });
    const runs = { mostRuns: mostRuns(layout) };
    this.#setup = {
      kernel,
      memories: this.#banks.memories,
      shape,
      layers: layers.map((layer, i) => layerAt(layer, this.#banks.layers[i]!)),
      scratch,
      plan: { ...runs, buffer: StepPlan.claim({ ...runs, lanes: slots }) },
    };
    this.#floats = this.#banks.memories.map(({ buffer }) =>
      new Float32Array(buffer)
    );
    this.#plan = new StepPlan(this.#setup.plan);
    this.#attender = new Attender(this.#setup, 0);
    this.#helpers = Array.from(
      { length: threads - 1 },
      (_, i) => startHelper({ setup: this.#setup, thread: i + 1 }),
    );
  }

  /** Where a layer's tensors, of all slots, are claimed. */
  rowsOf(layer: number): ClaimRows {
    return this.#banks.rowsOf(layer);
  }

  /** Begins a step: says who is in it. */
  begin(lanes: readonly StepLane[]): void {
    this.#lanes = lanes.length;
    this.#plan.write(
      lanes.map(({ slot, seen }) => ({
        slot,
        runs: rowRuns(seen, this.#layout),
      })),
    );
    const { scratch, shape: { headDim } } = this.#setup;
    for (const floats of this.#floats) {
      for (const [i, { angles }] of lanes.entries()) {
        floats.set(angles, scratch.angles / FLOAT + i * 2 * headDim);
      }
    }
  }

  /**
   * Attends in one layer.
   *
   * @param projections `[lanes, heads + 2 kvHeads, headDim]`
   * @param attended to be filled in, `[lanes, heads, headDim]`
   * @throws {Error} if a thread fails
   */
  attend(
    layer: number,
    projections: Float32Array,
    attended: Float32Array,
  ): void {
    const { scratch, layers, shape } = this.#setup;
    const floats = this.#floats[layers[layer]!.bank]!;
    floats.set(projections, scratch.projections / FLOAT);
    this.#plan.begin(layer, this.#lanes * shape.kvHeads);
    try {
      this.#attender.work();
    } finally {
      this.#plan.finish();
    }
    const at = scratch.attention / FLOAT;
    attended.set(floats.subarray(at, at + attended.length));
  }

  /** The rotated keys of a layer that was just attended in, `[lanes, kvHeads, headDim]`. */
  keys(layer: number): Float32Array {
    const { scratch, layers, shape: { kvHeads, headDim } } = this.#setup;
    const at = scratch.keys / FLOAT;
    return this.#floats[layers[layer]!.bank]!
      .subarray(at, at + this.#lanes * kvHeads * headDim);
  }

  /** Ends the threads. */
  async release(): Promise<void> {
    const ended = this.#helpers.map((helper) =>
      new Promise<void>((resolve) => {
        helper.onmessage = () => {
          helper.terminate();
          resolve();
        };
      })
    );
    this.#plan.end();
    await Promise.all(ended);
  }
}

function startHelper(start: HelperStart): Worker {
  const url = new URL("./helper.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  worker.postMessage(start);
  return worker;
}
