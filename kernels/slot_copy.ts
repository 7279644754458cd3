/**
 * Copies the rows of a slot, between slots or to and from a packed block: for beginnings that
 * conversations share, and for slots that are swapped.
 *
 * @module
 */
import { wordsOf } from "./element.ts";
import { type Job, jobBindings, JobList } from "./job_list.ts";
import type { Pipelines } from "./pipelines.ts";
import { type RowBlock, type RowShape, wordBlock } from "./row_block.ts";
import code from "./slot_copy.wgsl" with { type: "text" };

/** Rows to be copied: for every head, rows `from.firstRow …` to `to.firstRow …`. */
export interface RowCopy {
  readonly from: RowBlock;
  readonly to: RowBlock;
  readonly rows: number;
}

/**
 * Copies rows of one shape, bit for bit.
 *
 * @example The first 5 rows of slot 1, to a block of their own
 * ```ts
 * import { Pipelines } from "./pipelines.ts";
 * import { SlotCopy } from "./slot_copy.ts";
 * const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
 * if (device) {
 *   const usage = GPUBufferUsage.STORAGE;
 *   const cache = device.createBuffer({ size: 2 * 3 * 10 * 64 * 2, usage });
 *   const packed = device.createBuffer({ size: 3 * 5 * 64 * 2, usage });
 *   const shape = { heads: 3, width: 64, element: "f16" } as const;
 *   const copy = await SlotCopy.create(new Pipelines(device), shape);
 *   const from = { buffer: cache, rows: 10, slot: 1 };
 *   copy.run([{ from, to: { buffer: packed, rows: 5 }, rows: 5 }]);
 *   device.destroy();
 * }
 * ```
 */
export class SlotCopy {
  readonly #shape: RowShape;
  readonly #jobs: JobList;
  readonly #between: GPUComputePipeline;
  readonly #within: GPUComputePipeline;

  /**
   * Compiles the kernel.
   *
   * @throws {RangeError} if a row is no whole number of 32-bit words.
   */
  static async create(
    pipelines: Pipelines,
    shape: RowShape,
  ): Promise<SlotCopy> {
    wordsOf(shape.width, { element: shape.element, what: "width" });
    const lanes = pipelines.workgroupSize();
    const source = { name: "slot_copy", code, constants: { lanes } };
    const between = await pipelines.get({
      ...source,
      entryPoint: "between",
      bindings: jobBindings(["storage", "read-only-storage"]),
    });
    const within = await pipelines.get({
      ...source,
      entryPoint: "within",
      bindings: jobBindings(["storage"]),
    });
    const { device } = pipelines;
    const jobs = new JobList(device, { label: "slot_copy", lanes });
    return new SlotCopy(shape, jobs, { between, within });
  }

  private constructor(
    shape: RowShape,
    jobs: JobList,
    { between, within }: Record<"between" | "within", GPUComputePipeline>,
  ) {
    this.#shape = shape;
    this.#jobs = jobs;
    this.#between = between;
    this.#within = within;
  }

  /** Bytes of its own buffers. */
  get bytes(): number {
    return this.#jobs.bytes;
  }

  /**
   * Submits the copies, in order. Within one buffer, rows that a copy writes must not be among those that it
   * reads; this is for the caller to see to.
   *
   * @throws {RangeError} if a block has fewer rows or is not within its buffer; then nothing is submitted.
   */
  run(copies: readonly RowCopy[]): void {
    this.#jobs.run(copies.map((copy) => this.#job(copy)));
  }

  /** Destroys its own buffers. */
  destroy(): void {
    this.#jobs.destroy();
  }

  #job({ from, to, rows }: RowCopy): Job {
    const { heads, width, element } = this.#shape;
    const source = wordBlock(from, rows, this.#shape);
    const place = wordBlock(to, rows, this.#shape);
    const words = rows * wordsOf(width, { element, what: "width" });
    const same = from.buffer === to.buffer;
    return {
      pipeline: same ? this.#within : this.#between,
      buffers: same ? [to.buffer] : [to.buffer, from.buffer],
      parameters: [
        words,
        words * heads,
        source.start,
        source.head,
        place.start,
        place.head,
      ],
      invocations: words * heads,
    };
  }
}
