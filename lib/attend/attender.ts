/** One thread's part of a step's attention. @module */
import {
  type AttendRowsExports,
  MOST_QUERIES,
  ROW_ELEMENTS,
  ROW_STEP,
  type RowElement,
} from "../../kernels/attend_rows.wat.ts";
import { ROW_TYPE_BYTES } from "../cache/layout.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";
import {
  FLOAT,
  isSinks,
  type LayerAt,
  type RowsAt,
  type Scratch,
} from "./step_layout.ts";
import { type PlannedLane, StepPlan } from "./step_plan.ts";

/** What a thread is given to start with. */
export interface AttenderSetup {
  readonly kernel: WebAssembly.Module;
  readonly memories: readonly WebAssembly.Memory[];
  readonly shape: AttentionShape;
  readonly layers: readonly LayerAt[];
  readonly scratch: Scratch;
  /** The plan's memory. */
  readonly plan: {
    readonly buffer: SharedArrayBuffer;
    readonly mostRuns: number;
  };
}

/** The kernel on one memory, its functions of rows by element and number of heads. */
class Kernel {
  readonly plain: AttendRowsExports;
  readonly scores: Functions;
  readonly mix: Functions;

  constructor(module: WebAssembly.Module, memory: WebAssembly.Memory) {
    const instance = new WebAssembly.Instance(module, { host: { memory } });
    this.plain = instance.exports as unknown as AttendRowsExports;
    const functions = (of: "scores" | "mix") =>
      Object.fromEntries(ROW_ELEMENTS.map((element) => [
        element,
        Array.from(
          { length: MOST_QUERIES },
          (_, n) => this.plain[`${element}_${of}${n + 1}`],
        ),
      ])) as unknown as Functions;
    this.scores = functions("scores");
    this.mix = functions("mix");
  }
}

/** Functions of rows, by number of heads less one. */
type Functions = Readonly<
  Record<RowElement, readonly AttendRowsExports["int8_mix1"][]>
>;

/** Rows that are asked alike; all but the numbers of rows are pointers, in bytes. */
interface AskedRows {
  readonly queries: number;
  readonly element: RowElement;
  readonly keys: number;
  /** 0 if rows are not scaled. */
  readonly keyScales: number;
  readonly values: number;
  readonly valueScales: number;
  readonly rows: number;
  /** Likewise, with those behind them that the kernel takes, too. */
  readonly stepped: number;
}

/** Attends to items of a plan, whoever else does. */
export class Attender {
  readonly #plan: StepPlan;
  /** The kernel on each memory. */
  readonly #kernels: readonly Kernel[];
  readonly #setup: AttenderSetup;
  /** Conversations of a step, as far as this thread has seen them. */
  readonly #lanes: PlannedLane[] = [];
  #step = 0;
  /** This thread's scratch, in bytes. */
  readonly #own: { queries: number; scores: number };

  /** @param thread which of the threads this is, from 0 */
  constructor(setup: AttenderSetup, thread: number) {
    const { kernel, memories, scratch, shape } = setup;
    this.#setup = setup;
    this.#plan = new StepPlan(setup.plan);
    this.#kernels = memories.map((memory) => new Kernel(kernel, memory));
    const group = shape.heads / shape.kvHeads;
    const queries = scratch.threads + thread * scratch.thread;
    this.#own = {
      queries,
      scores: queries + scratch.thread - group * scratch.stride,
    };
  }

  /**
   * Computes items until none is left, whether some fail or not: somebody waits for all of them.
   *
   * @throws {Error} what the last one threw that failed
   */
  work(): void {
    const { kvHeads } = this.#setup.shape;
    let failure: { readonly thrown: unknown } | null = null;
    for (let item; (item = this.#plan.take()) !== null;) {
      let failed = false;
      try {
        this.#attend(Math.floor(item / kvHeads), item % kvHeads);
      } catch (thrown) {
        failed = true;
        failure = { thrown };
      }
      this.#plan.done(failed);
    }
    if (failure) throw failure.thrown;
  }

  /** One conversation, read once a step. */
  #lane(index: number): PlannedLane {
    const { step } = this.#plan;
    if (step !== this.#step) this.#lanes.length = 0;
    this.#step = step;
    return this.#lanes[index] ??= this.#plan.lane(index);
  }

  /** Attends with the queries of one KV head of one conversation. */
  #attend(lane: number, kvHead: number): void {
    const { shape, scratch, layers } = this.#setup;
    const { heads, kvHeads, headDim } = shape;
    const layer = layers[this.#plan.layer]!;
    const kernel = this.#kernels[layer.bank]!;
    const { plain } = kernel;
    const { slot, runs } = this.#lane(lane);
    const group = heads / kvHeads;
    const width = headDim * FLOAT;
    const half = width / 2;

    const given = scratch.projections + lane * (heads + 2 * kvHeads) * width;
    const query = given + kvHead * group * width;
    const key = given + (heads + kvHead) * width;
    const value = given + (heads + kvHeads + kvHead) * width;
    const angles = scratch.angles + lane * 4 * half;
    const ownKey = scratch.keys + (lane * kvHeads + kvHead) * width;
    const { queries } = this.#own;
    const sinkQueries = queries + group * width;
    plain.rotate(query, angles, angles + half, queries, group);
    plain.rotate(
      query,
      angles + 2 * half,
      angles + 3 * half,
      sinkQueries,
      group,
    );
    plain.rotate(key, angles, angles + half, ownKey, 1);

    const asked: AskedRows[] = [];
    const line = slot * kvHeads + kvHead;
    for (const { part, first, rows } of runs) {
      const { keys, values } = layer.parts[part]!;
      const { element } = keys;
      const row = first * headDim * ROW_TYPE_BYTES[element];
      asked.push({
        queries: isSinks(part) ? sinkQueries : queries,
        element,
        keys: keys.start + line * keys.head + row,
        keyScales: scalesAt(keys, line, first),
        values: values.start + line * values.head + row,
        valueScales: scalesAt(values, line, first),
        rows,
        stepped: stepped(rows),
      });
    }
    asked.push({
      queries,
      element: "float32",
      keys: ownKey,
      keyScales: 0,
      values: value,
      valueScales: 0,
      rows: 1,
      stepped: ROW_STEP,
    });
    const to = scratch.attention + (lane * heads + kvHead * group) * width;
    for (let head = 0; head < group; head += MOST_QUERIES) {
      const count = Math.min(MOST_QUERIES, group - head);
      this.#mix(kernel, asked, { head, count, to: to + head * width });
    }
  }

  /** Attends with some heads of a group. */
  #mix(
    kernel: Kernel,
    asked: readonly AskedRows[],
    { head, count, to }: { head: number; count: number; to: number },
  ): void {
    const { shape: { headDim }, scratch: { stride } } = this.#setup;
    const { plain } = kernel;
    const width = headDim * FLOAT;
    const { scores } = this.#own;
    let at = scores;
    for (const { element, queries, keys, keyScales, rows, stepped } of asked) {
      const first = queries + head * width;
      kernel.scores[element][count - 1]!(first, keys, at, rows, stride);
      for (let h = 0; h < count; h++) {
        const line = at + h * stride;
        if (keyScales > 0) plain.weigh(line, keyScales, stepped);
        if (stepped > rows) plain.hide(line + rows * FLOAT, stepped - rows);
      }
      at += stepped * FLOAT;
    }
    const columns = (at - scores) / FLOAT;
    const sums: number[] = [];
    for (let h = 0; h < count; h++) {
      sums.push(plain.exponentials(scores + h * stride, columns));
    }
    plain.clear(to, count * width);
    at = scores;
    for (const { element, values, valueScales, rows, stepped } of asked) {
      for (let h = 0; valueScales > 0 && h < count; h++) {
        plain.weigh(at + h * stride, valueScales, stepped);
      }
      kernel.mix[element][count - 1]!(at, values, to, rows, stride);
      at += stepped * FLOAT;
    }
    for (let h = 0; h < count; h++) plain.scale(to + h * width, 1 / sums[h]!);
  }
}

/** Where the scales of rows are, 0 if they have none. */
function scalesAt({ scales }: RowsAt, line: number, first: number): number {
  return scales ? scales.start + line * scales.head + first * FLOAT : 0;
}

/** Rows with those behind them that the kernel takes, too. */
function stepped(rows: number): number {
  return Math.ceil(rows / ROW_STEP) * ROW_STEP;
}
