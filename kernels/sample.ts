/**
 * Summaries of logits that stay on the GPU: what a choice needs to know of a row, in about 2 KB
 * instead of the vocabulary's 192.
 *
 * @module
 */
import {
  type LogitChange,
  type LogitSummary,
  SUMMARY_TOKENS,
  type SummaryRequest,
} from "../lib/sampling/summary.ts";
import { OwnBuffers } from "./own_buffers.ts";
import type { Pipelines } from "./pipelines.ts";
import code from "./sample.wgsl" with { type: "text" };
import { readSummary, SUMMARY_BYTES } from "./summary_words.ts";

/** The logits, and how much is asked at a time. */
export interface SampleOptions {
  /** f32 `[rows, vocabulary]`; it is not changed. */
  readonly logits: GPUBuffer;
  readonly rows: number;
  /** Below 2²⁴. */
  readonly vocabulary: number;
  /** Changes of all requests of a call that there is room for; more make room. */
  readonly changes: number;
}

/** What is asked of one row. */
export interface RowRequest {
  readonly row: number;
  readonly request: SummaryRequest;
}

/** Words of a request and of a change, in sample.wgsl. */
const REQUEST_WORDS = 6;
const CHANGE_WORDS = 3;

/** What temperatures are the inverse of, at most: f32 has no more, and nothing but the largest logit is left there. */
const MOST_INVERSE = 1e38;

/**
 * Summarises rows of one buffer of logits. The token drawn is the first, by id, at which the running sum
 * of exp((logit − largest) / temperature) is over `fraction` of the whole; sums are f32, so its chance is
 * right to about 10⁻⁶ of the whole.
 *
 * @example The likeliest of three
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Pipelines } from "./pipelines.ts";
 * import { SampleKernel } from "./sample.ts";
 * const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
 * if (device) {
 *   const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
 *   const logits = device.createBuffer({ size: 16, usage });
 *   device.queue.writeBuffer(logits, 0, Float32Array.of(0.1, 2.5, -1));
 *   const of = { logits, rows: 1, vocabulary: 3, changes: 0 };
 *   const kernel = await SampleKernel.create(new Pipelines(device), of);
 *   const request = { temperature: 1, fraction: 0.99, changes: [] };
 *   const [summary] = await kernel.run([{ row: 0, request }]);
 *   assertEquals([...summary!.tokens], [1, 0, 2]);
 *   assertEquals(summary!.drawn.token, 2);
 *   device.destroy();
 * }
 * ```
 */
export class SampleKernel {
  /** Bytes read back from the device for each row. */
  readonly readback: number = SUMMARY_BYTES;
  readonly #device: GPUDevice;
  readonly #pipeline: GPUComputePipeline;
  readonly #of: SampleOptions;
  readonly #buffers: OwnBuffers;
  readonly #requests: GPUBuffer;
  readonly #keys: GPUBuffer;
  readonly #summaries: GPUBuffer;
  readonly #mapped: GPUBuffer;
  #changes: GPUBuffer;
  #group: GPUBindGroup;
  /** Tells the answers to one call from those to another. */
  #serial = 0;
  #running = false;

  /**
   * Compiles the kernel for these logits.
   *
   * @throws {RangeError} if the buffer is smaller than its rows, or there are more rows or tokens than a device takes.
   */
  static async create(
    pipelines: Pipelines,
    of: SampleOptions,
  ): Promise<SampleKernel> {
    const { device } = pipelines;
    const { logits, rows, vocabulary } = of;
    const most = device.limits.maxComputeWorkgroupsPerDimension;
    checkWhole("rows", rows, most);
    checkWhole("vocabulary", vocabulary, 2 ** 24 - 1);
    if (logits.size < rows * vocabulary * 4) {
      throw new RangeError(
        `Cannot use a buffer of ${logits.size} bytes as logits [${rows}, ${vocabulary}]`,
      );
    }
    const shared = 2048; // and a sum for each invocation
    const lanes = pipelines.workgroupSize(256, { storage: 4, shared });
    const kept = Math.min(vocabulary, SUMMARY_TOKENS);
    const pipeline = await pipelines.get({
      name: "sample",
      code,
      constants: { lanes, vocabulary, kept },
    });
    return new SampleKernel(device, pipeline, of);
  }

  private constructor(
    device: GPUDevice,
    pipeline: GPUComputePipeline,
    of: SampleOptions,
  ) {
    const { COPY_DST, COPY_SRC, MAP_READ, STORAGE } = GPUBufferUsage;
    const { rows, vocabulary, changes } = of;
    const buffers = new OwnBuffers(device, "sample");
    this.#device = device;
    this.#pipeline = pipeline;
    this.#of = of;
    this.#buffers = buffers;
    this.#requests = buffers.make(
      rows * REQUEST_WORDS * 4,
      STORAGE | COPY_DST,
    );
    this.#keys = buffers.make(rows * vocabulary * 4, STORAGE);
    this.#summaries = buffers.make(rows * SUMMARY_BYTES, STORAGE | COPY_SRC);
    this.#mapped = buffers.make(rows * SUMMARY_BYTES, MAP_READ | COPY_DST);
    this.#changes = this.#makeChanges(changes);
    this.#group = this.#bind();
  }

  /** Bytes of its own buffers, the logits not counted. */
  get bytes(): number {
    return this.#buffers.bytes;
  }

  /**
   * Submits the requests and waits for the answers, in order. One call at a time.
   *
   * @param requests at most `rows`; several may ask of one row
   * @throws {RangeError} if a request is out of range; then nothing is submitted. Or if the logits are no distribution,
   * before the changes or after them: one is NaN or +Infinity, or all are -Infinity.
   * @throws {Error} if the last call has not ended, the device did not run the kernel, or it was lost.
   */
  async run(requests: readonly RowRequest[]): Promise<LogitSummary[]> {
    if (this.#running) {
      throw new Error("Cannot summarise logits: the last call has not ended");
    }
    checkRequests(requests, this.#of);
    if (requests.length === 0) return [];
    this.#running = true;
    try {
      this.#serial = (this.#serial + 1) >>> 0;
      this.#write(requests);
      this.#submit(requests.length);
      return await this.#read(requests);
    } finally {
      this.#running = false;
    }
  }

  /** Destroys its own buffers. */
  destroy(): void {
    this.#buffers.destroy();
  }

  #write(requests: readonly RowRequest[]): void {
    const { queue } = this.#device;
    const words = new Uint32Array(requests.length * REQUEST_WORDS);
    const numbers = new Float32Array(words.buffer);
    const changes: LogitChange[] = [];
    for (const [i, { row, request }] of requests.entries()) {
      const { temperature, fraction } = request;
      const count = request.changes.length;
      words.set([row, changes.length, count], i * REQUEST_WORDS);
      const inverse = Math.min(1 / temperature, MOST_INVERSE);
      numbers.set([inverse, fraction], i * REQUEST_WORDS + 3);
      words[i * REQUEST_WORDS + 5] = this.#serial;
      for (const change of request.changes) changes.push(change);
    }
    queue.writeBuffer(this.#requests, 0, words);
    if (changes.length > 0) this.#writeChanges(changes);
  }

  #writeChanges(changes: readonly LogitChange[]): void {
    const words = new Uint32Array(changes.length * CHANGE_WORDS);
    const numbers = new Float32Array(words.buffer);
    for (const [i, { token, divisor, added }] of changes.entries()) {
      words[i * CHANGE_WORDS] = token;
      numbers.set([divisor, added], i * CHANGE_WORDS + 1);
    }
    if (words.byteLength > this.#changes.size) {
      this.#buffers.free(this.#changes);
      this.#changes = this.#makeChanges(2 * changes.length);
      this.#group = this.#bind();
    }
    this.#device.queue.writeBuffer(this.#changes, 0, words);
  }

  #submit(rows: number): void {
    const encoder = this.#device.createCommandEncoder({ label: "sample" });
    const pass = encoder.beginComputePass({ label: "sample" });
    pass.setPipeline(this.#pipeline);
    pass.setBindGroup(0, this.#group);
    pass.dispatchWorkgroups(rows);
    pass.end();
    const bytes = rows * SUMMARY_BYTES;
    encoder.copyBufferToBuffer(this.#summaries, 0, this.#mapped, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
  }

  async #read(requests: readonly RowRequest[]): Promise<LogitSummary[]> {
    const kept = Math.min(this.#of.vocabulary, SUMMARY_TOKENS);
    const bytes = requests.length * SUMMARY_BYTES;
    await this.#mapped.mapAsync(GPUMapMode.READ, 0, bytes);
    try {
      const words = new Uint32Array(this.#mapped.getMappedRange(0, bytes));
      return requests.map(({ request }, i) => {
        const first = i * SUMMARY_BYTES / 4;
        const own = words.subarray(first, first + SUMMARY_BYTES / 4);
        const { temperature } = request;
        return readSummary(own, { kept, temperature, serial: this.#serial });
      });
    } finally {
      this.#mapped.unmap();
    }
  }

  #makeChanges(count: number): GPUBuffer {
    const { COPY_DST, STORAGE } = GPUBufferUsage;
    return this.#buffers.make(count * CHANGE_WORDS * 4, STORAGE | COPY_DST);
  }

  #bind(): GPUBindGroup {
    const { logits } = this.#of;
    const own = [this.#requests, this.#changes, this.#keys, this.#summaries];
    return this.#device.createBindGroup({
      label: "sample",
      layout: this.#pipeline.getBindGroupLayout(0),
      entries: [logits, ...own].map((buffer, binding) => ({
        binding,
        resource: { buffer },
      })),
    });
  }
}

function checkWhole(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new RangeError(
      `Cannot use ${name} as a whole number from 1 to ${most}: current value is ${value}`,
    );
  }
}

function checkRequests(
  requests: readonly RowRequest[],
  { rows, vocabulary }: SampleOptions,
): void {
  if (requests.length > rows) {
    throw new RangeError(
      `Cannot answer ${requests.length} requests in one call: the most is ${rows}`,
    );
  }
  for (const { row, request } of requests) {
    const { temperature, fraction, changes } = request;
    check("row", row, isIndex(row, rows));
    check(
      "temperature",
      temperature,
      temperature > 0 && temperature < Infinity,
    );
    check("fraction", fraction, fraction >= 0 && fraction < 1);
    for (const { token, divisor, added } of changes) {
      check("token", token, isIndex(token, vocabulary));
      check("divisor", divisor, divisor > 0 && divisor < Infinity);
      check("added", added, added < Infinity);
    }
  }
}

function isIndex(value: number, count: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < count;
}

function check(name: string, value: number, valid: boolean): void {
  if (!valid) {
    throw new RangeError(`Cannot use ${name} of a request: it is ${value}`);
  }
}
