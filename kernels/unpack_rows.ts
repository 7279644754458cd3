/** Rows from 8 or 4 bits: the way back from pack_rows.ts. @module */
import { elementsPerWord } from "./element.ts";
import { type Job, jobBindings, JobList } from "./job_list.ts";
import {
  type PackedRows,
  type PackedShape,
  packingParameters,
  packingSource,
} from "./packed_rows.ts";
import type { Pipelines } from "./pipelines.ts";
import type { RowBlock } from "./row_block.ts";
import code from "./unpack_rows.wgsl" with { type: "text" };

/** Rows to be unpacked: to those of every head from `to.firstRow`. */
export interface RowUnpacking {
  readonly from: PackedRows;
  readonly to: RowBlock;
  /** As many as were packed at once. */
  readonly rows: number;
}

/**
 * Unpacks rows of one shape: element = zero + code · scale, in f32 and then rounded to the rows' precision.
 *
 * @example The first 32 rows of a tensor, back from packed ones
 * ```ts
 * import { UnpackRows } from "./unpack_rows.ts";
 * import { Pipelines } from "./pipelines.ts";
 * const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
 * if (device) {
 *   const shape = { heads: 1, width: 64, element: "f16" } as const;
 *   const packing = { ...shape, bits: 4, groupedBy: "channel" } as const;
 *   const kernel = await UnpackRows.create(new Pipelines(device), packing);
 *   const storage = (size: number) =>
 *     device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
 *   const block = { buffer: storage(40 * 64 * 2), rows: 40 };
 *   const packed = { codes: storage(64 * 16), scales: storage(64 * 8) };
 *   kernel.run([{ from: packed, to: block, rows: 32 }]);
 *   device.destroy();
 * }
 * ```
 */
export class UnpackRows {
  readonly #shape: PackedShape;
  readonly #pipeline: GPUComputePipeline;
  readonly #jobs: JobList;

  /**
   * Compiles the kernel.
   *
   * @throws {RangeError} if a row is no whole number of 32-bit words.
   */
  static async create(
    pipelines: Pipelines,
    shape: PackedShape,
  ): Promise<UnpackRows> {
    const lanes = pipelines.workgroupSize();
    const name = "unpack_rows";
    const read = "read-only-storage";
    const pipeline = await pipelines.get({
      ...packingSource(shape, { name, code, lanes }),
      bindings: jobBindings(["storage", read, read]),
    });
    const jobs = new JobList(pipelines.device, { label: name, lanes });
    return new UnpackRows(shape, pipeline, jobs);
  }

  private constructor(
    shape: PackedShape,
    pipeline: GPUComputePipeline,
    jobs: JobList,
  ) {
    this.#shape = shape;
    this.#pipeline = pipeline;
    this.#jobs = jobs;
  }

  /** Bytes of its own buffers. */
  get bytes(): number {
    return this.#jobs.bytes;
  }

  /**
   * Submits the unpackings, in order.
   *
   * @throws {RangeError} if a block has fewer rows, or a buffer is too small; then nothing is submitted.
   */
  run(unpackings: readonly RowUnpacking[]): void {
    this.#jobs.run(unpackings.map((unpacking) => this.#job(unpacking)));
  }

  /** Destroys its own buffers. */
  destroy(): void {
    this.#jobs.destroy();
  }

  #job({ from, to, rows }: RowUnpacking): Job {
    const { heads, width, element } = this.#shape;
    const invocations = heads * rows * width / elementsPerWord(element);
    const of = { block: to, packed: from, rows, invocations };
    return {
      pipeline: this.#pipeline,
      buffers: [to.buffer, from.codes, from.scales],
      ...packingParameters(this.#shape, of),
    };
  }
}
