/** Quantises rows to 8 or 4 bits. @module */
import { type Job, jobBindings, JobList } from "./job_list.ts";
import code from "./pack_rows.wgsl" with { type: "text" };
import {
  packedGroups,
  type PackedRows,
  type PackedShape,
  packingParameters,
  packingSource,
} from "./packed_rows.ts";
import type { Pipelines } from "./pipelines.ts";
import type { RowBlock } from "./row_block.ts";

/** Rows to be packed: of every head, those from `from.firstRow`. */
export interface RowPacking {
  readonly from: RowBlock;
  readonly to: PackedRows;
  readonly rows: number;
}

/**
 * Packs rows of one shape: scale = (max − min) / (2^bits − 1), zero = min, code = (element − zero) / scale
 * rounded half to even. A group whose elements are all equal has scale 0 and comes back exactly. Elements
 * must be finite, for which the caller sees.
 *
 * @example A tensor's first 32 rows, by channel
 * ```ts
 * import { PackRows } from "./pack_rows.ts";
 * import { Pipelines } from "./pipelines.ts";
 * const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
 * if (device) {
 *   const shape = { heads: 1, width: 64, element: "f16" } as const;
 *   const packing = { ...shape, bits: 4, groupedBy: "channel" } as const;
 *   const kernel = await PackRows.create(new Pipelines(device), packing);
 *   const storage = (size: number) =>
 *     device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
 *   const block = { buffer: storage(40 * 64 * 2), rows: 40 };
 *   const packed = { codes: storage(64 * 16), scales: storage(64 * 8) };
 *   kernel.run([{ from: block, to: packed, rows: 32 }]);
 *   device.destroy();
 * }
 * ```
 */
export class PackRows {
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
  ): Promise<PackRows> {
    const lanes = pipelines.workgroupSize();
    const name = "pack_rows";
    const pipeline = await pipelines.get({
      ...packingSource(shape, { name, code, lanes }),
      bindings: jobBindings(["storage", "storage", "read-only-storage"]),
    });
    const jobs = new JobList(pipelines.device, { label: name, lanes });
    return new PackRows(shape, pipeline, jobs);
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
   * Submits the packings, in order.
   *
   * @throws {RangeError} if a block has fewer rows, or a buffer is too small; then nothing is submitted.
   */
  run(packings: readonly RowPacking[]): void {
    this.#jobs.run(packings.map((packing) => this.#job(packing)));
  }

  /** Destroys its own buffers. */
  destroy(): void {
    this.#jobs.destroy();
  }

  #job({ from, to, rows }: RowPacking): Job {
    const invocations = packedGroups(this.#shape, rows);
    const of = { block: from, packed: to, rows, invocations };
    return {
      pipeline: this.#pipeline,
      buffers: [to.codes, to.scales, from.buffer],
      ...packingParameters(this.#shape, of),
    };
  }
}
