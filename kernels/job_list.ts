/**
 * Dispatches by the dozen: one command encoder for all, their parameters written to one buffer at
 * once. For what happens at the boundaries of turns, a dispatch for each tensor of a cache.
 *
 * @module
 */
import { OwnBuffers } from "./own_buffers.ts";
import { workgroupGrid } from "./pipelines.ts";

/** One dispatch. */
export interface Job {
  readonly pipeline: GPUComputePipeline;
  /** What is bound from 1 on. */
  readonly buffers: readonly GPUBuffer[];
  /** At most {@linkcode JOB_PARAMETERS} words: the uniform at binding 0. */
  readonly parameters: readonly number[];
  readonly invocations: number;
}

/** Words of a job's uniform. */
export const JOB_PARAMETERS = 12;

/** Jobs of one submission. */
const BATCH = 64;

/**
 * The bindings of a job's pipeline: its parameters at 0, then these.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { jobBindings } from "./job_list.ts";
 * assertEquals(jobBindings(["storage"]).map(({ buffer }) => buffer?.type), ["uniform", "storage"]);
 * ```
 */
export function jobBindings(
  types: readonly GPUBufferBindingType[],
): GPUBindGroupLayoutEntry[] {
  const parameters: GPUBufferBindingLayout = {
    type: "uniform",
    hasDynamicOffset: true,
    minBindingSize: JOB_PARAMETERS * 4,
  };
  const buffers = [parameters, ...types.map((type) => ({ type }))];
  const visibility = 4; // GPUShaderStage.COMPUTE, which is not there without WebGPU
  return buffers.map((buffer, binding) => ({ binding, visibility, buffer }));
}

/** Runs jobs. Its buffer is made once; bind groups are made for each job. */
export class JobList {
  readonly #device: GPUDevice;
  readonly #label: string;
  readonly #lanes: number;
  readonly #buffers: OwnBuffers;
  readonly #parameters: GPUBuffer;
  /** What goes to `#parameters`. */
  readonly #words: Uint32Array<ArrayBuffer>;
  /** Words from one job's parameters to the next's. */
  readonly #stride: number;

  /** @param options.lanes invocations of the pipelines' workgroups */
  constructor(
    device: GPUDevice,
    { label, lanes }: { label: string; lanes: number },
  ) {
    const alignment = device.limits.minUniformBufferOffsetAlignment;
    const { COPY_DST, UNIFORM } = GPUBufferUsage;
    this.#device = device;
    this.#label = label;
    this.#lanes = lanes;
    this.#stride = Math.ceil(JOB_PARAMETERS * 4 / alignment) * alignment / 4;
    this.#words = new Uint32Array(BATCH * this.#stride);
    this.#buffers = new OwnBuffers(device, label);
    this.#parameters = this.#buffers.make(
      this.#words.byteLength,
      UNIFORM | COPY_DST,
    );
  }

  /** Bytes of its buffer. */
  get bytes(): number {
    return this.#buffers.bytes;
  }

  /** Submits the jobs, in order. Those without invocations are left out. */
  run(jobs: readonly Job[]): void {
    const wanted = jobs.filter(({ invocations }) => invocations > 0);
    for (let first = 0; first < wanted.length; first += BATCH) {
      this.#submit(wanted.slice(first, first + BATCH));
    }
  }

  /** Destroys its buffer. */
  destroy(): void {
    this.#buffers.destroy();
  }

  #submit(jobs: readonly Job[]): void {
    const label = this.#label;
    const { queue } = this.#device;
    for (const [i, { parameters }] of jobs.entries()) {
      this.#words.set(parameters, i * this.#stride);
    }
    const words = jobs.length * this.#stride;
    queue.writeBuffer(this.#parameters, 0, this.#words, 0, words);
    const encoder = this.#device.createCommandEncoder({ label });
    const pass = encoder.beginComputePass({ label });
    for (const [i, job] of jobs.entries()) {
      pass.setPipeline(job.pipeline);
      pass.setBindGroup(0, this.#bind(job), [i * this.#stride * 4]);
      const [x, y] = workgroupGrid(job.invocations, {
        size: this.#lanes,
        limit: this.#device.limits.maxComputeWorkgroupsPerDimension,
      });
      pass.dispatchWorkgroups(x, y);
    }
    pass.end();
    queue.submit([encoder.finish()]);
  }

  #bind({ pipeline, buffers }: Job): GPUBindGroup {
    const size = JOB_PARAMETERS * 4;
    const parameters = { buffer: this.#parameters, size };
    const resources = [parameters, ...buffers.map((buffer) => ({ buffer }))];
    return this.#device.createBindGroup({
      label: this.#label,
      layout: pipeline.getBindGroupLayout(0),
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
  }
}
