/**
 * Moves rows within the caches of all layers, without a round trip to the host: a run's new rows from
 * a scratch area into their places of the ring, or the sinks' keys to where queries see them, rotated.
 *
 * @module
 */
import { type Element, elementsPerWord, wordsOf } from "./element.ts";
import elementCode from "./element.wgsl" with { type: "text" };
import { OwnBuffers } from "./own_buffers.ts";
import { type Pipelines, workgroupGrid } from "./pipelines.ts";
import code from "./ring_write.wgsl" with { type: "text" };

/** A row to be moved: for every layer and head, `values[to] = values[from]`, `keys[to] = rotated(keys[from])`. */
export interface RowMove {
  readonly slot: number;
  readonly from: number;
  readonly to: number;
  /** Row of cosines and sines to rotate the key by; -1 copies it bit for bit. */
  readonly angle: number;
}

/** A layer's cache: a buffer each, `[slots, heads, rows, width]`. */
export interface LayerCache {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
}

/** Caches, and how much is moved at a time. */
export interface RingWriteOptions {
  readonly layers: readonly LayerCache[];
  readonly slots: number;
  readonly heads: number;
  /** Rows of a head, scratch included. */
  readonly rows: number;
  readonly width: number;
  /** Elements of a key that are rotated, the first of it, in pairs (i, i + rotated / 2); the others are copied. */
  readonly rotated: number;
  readonly element: Element;
  /** Most moves of one call. */
  readonly most: number;
  /** Most rows of cosines and sines of one call. */
  readonly angles: number;
}

/** Cosines and sines, `[angles used, rotated / 2]` each. */
export interface Angles {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** Layers of one dispatch: with moves and angles, their buffers are the 8 that every device binds. */
const LAYERS = 3;

interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/**
 * Moves rows of given caches. All that it needs on the device is made beforehand; a call makes nothing.
 *
 * @example A row moves to the beginning, and its key is turned by a right angle
 * ```ts
 * import { Pipelines } from "./pipelines.ts";
 * import { RingWrite } from "./ring_write.ts";
 * const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
 * if (device) {
 *   const [keys, values] = [1, 2].map(() =>
 *     device.createBuffer({ size: 3 * 10 * 4 * 4, usage: GPUBufferUsage.STORAGE })
 *   ) as [GPUBuffer, GPUBuffer];
 *   const write = await RingWrite.create(new Pipelines(device), {
 *     layers: [{ keys, values }],
 *     ...{ slots: 1, heads: 3, rows: 10, width: 4, element: "f32" },
 *     ...{ rotated: 4, most: 8, angles: 1 },
 *   });
 *   const angles = { cos: Float32Array.of(0, 0), sin: Float32Array.of(1, 1) };
 *   write.run([{ slot: 0, from: 9, to: 0, angle: 0 }], angles);
 *   device.destroy();
 * }
 * ```
 */
export class RingWrite {
  readonly #device: GPUDevice;
  readonly #of: RingWriteOptions;
  readonly #buffers: OwnBuffers;
  readonly #count: GPUBuffer;
  readonly #moves: GPUBuffer;
  readonly #angles: GPUBuffer;
  readonly #size: number;
  readonly #dispatches: Dispatch[] = [];
  /** What goes to `#moves`. */
  readonly #packed: Int32Array<ArrayBuffer>;

  /**
   * Compiles the kernel for these caches.
   *
   * @throws {RangeError} if rows, or halves of the rotated elements, are no whole 32-bit words, `rotated` is odd or over
   * `width`, or a buffer is too small.
   */
  static async create(
    pipelines: Pipelines,
    of: RingWriteOptions,
  ): Promise<RingWrite> {
    checkShapes(of);
    const write = new RingWrite(pipelines, of);
    for (let first = 0; first < of.layers.length; first += LAYERS) {
      const layers = of.layers.slice(first, first + LAYERS);
      const pipeline = await write.#compile(pipelines, layers.length);
      const group = write.#bind(pipeline, layers);
      write.#dispatches.push({ pipeline, group });
    }
    return write;
  }

  private constructor(pipelines: Pipelines, of: RingWriteOptions) {
    const { device } = pipelines;
    const { COPY_DST, STORAGE, UNIFORM } = GPUBufferUsage;
    this.#device = device;
    this.#of = of;
    this.#size = pipelines.workgroupSize();
    this.#buffers = new OwnBuffers(device, "ring_write");
    this.#count = this.#buffers.make(4, UNIFORM | COPY_DST);
    this.#moves = this.#buffers.make(of.most * 16, STORAGE | COPY_DST);
    this.#angles = this.#buffers.make(
      of.angles * of.rotated * 4,
      STORAGE | COPY_DST,
    );
    this.#packed = new Int32Array(of.most * 4);
  }

  /** Bytes of its own buffers, the caches not counted. */
  get bytes(): number {
    return this.#buffers.bytes;
  }

  /**
   * Submits the moves. They happen in any order: no row may be the `to` of two of them, or the `to` of one
   * and the `from` of one. This is for the caller to see to.
   *
   * @throws {RangeError} if there are too many moves or angles, or a move's slot, row or angle is none; then nothing
   * is submitted.
   */
  run(moves: readonly RowMove[], { cos, sin }: Angles): void {
    const { angles, rotated, heads, width, element, most } = this.#of;
    const half = rotated / 2;
    const used = half === 0 ? angles : cos.length / half;
    if (
      cos.length !== sin.length || !Number.isInteger(used) || used > angles
    ) {
      throw new RangeError(
        `Cannot use ${cos.length} cosines and ${sin.length} sines as up to ${angles} rows of ${half}`,
      );
    }
    if (moves.length > most) {
      throw new RangeError(
        `Cannot move ${moves.length} rows in one call: the most is ${most}`,
      );
    }
    for (const [i, move] of moves.entries()) {
      checkMove(move, this.#of, used);
      this.#packed.set([move.slot, move.from, move.to, move.angle], 4 * i);
    }
    if (moves.length === 0) return;
    const { queue } = this.#device;
    queue.writeBuffer(this.#count, 0, Uint32Array.of(moves.length));
    queue.writeBuffer(this.#moves, 0, this.#packed, 0, 4 * moves.length);
    if (cos.length > 0) { // Deno 2.9.6 panics at a write of nothing.
      const sines = angles * half * 4;
      queue.writeBuffer(this.#angles, 0, cos as Float32Array<ArrayBuffer>);
      queue.writeBuffer(this.#angles, sines, sin as Float32Array<ArrayBuffer>);
    }
    this.#submit(moves.length * heads * width / elementsPerWord(element));
  }

  /** Destroys its own buffers. */
  destroy(): void {
    this.#buffers.destroy();
  }

  #submit(invocations: number): void {
    const limit = this.#device.limits.maxComputeWorkgroupsPerDimension;
    const [x, y] = workgroupGrid(invocations, { size: this.#size, limit });
    const encoder = this.#device.createCommandEncoder({ label: "ring_write" });
    const pass = encoder.beginComputePass({ label: "ring_write" });
    for (const { pipeline, group } of this.#dispatches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(x, y);
    }
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
  }

  #compile(pipelines: Pipelines, layers: number): Promise<GPUComputePipeline> {
    const { heads, rows, width, rotated, element, angles } = this.#of;
    const perWord = elementsPerWord(element);
    return pipelines.get({
      name: "ring_write",
      code: code + elementCode,
      constants: {
        lanes: this.#size,
        layers,
        heads,
        rows,
        words: width / perWord,
        turned: rotated / 2 / perWord,
        angles,
        per_word: perWord,
      },
    });
  }

  #bind(
    pipeline: GPUComputePipeline,
    layers: readonly LayerCache[],
  ): GPUBindGroup {
    const caches = layers.flatMap(({ keys, values }) => [keys, values]);
    while (caches.length < 2 * LAYERS) {
      // A buffer may be written through one binding only: each that is left over gets one that nothing touches.
      caches.push(this.#buffers.make(4, GPUBufferUsage.STORAGE));
    }
    const buffers = [this.#count, this.#moves, this.#angles, ...caches];
    return this.#device.createBindGroup({
      label: "ring_write",
      layout: pipeline.getBindGroupLayout(0),
      entries: buffers.map((buffer, binding) => ({
        binding,
        resource: { buffer },
      })),
    });
  }
}

function checkShapes(of: RingWriteOptions): void {
  const { element, width, rotated } = of;
  wordsOf(width, { element, what: "width" });
  wordsOf(rotated / 2, { element, what: "half of rotated" });
  if (rotated > width) {
    throw new RangeError(`Cannot rotate ${rotated} elements of ${width}`);
  }
  const elements = of.slots * of.heads * of.rows * width;
  const bytes = elements * 4 / elementsPerWord(element);
  for (const { keys, values } of of.layers) {
    const size = Math.min(keys.size, values.size);
    if (size < bytes) {
      throw new RangeError(
        `Cannot use a buffer of ${size} bytes as a cache of ${bytes}`,
      );
    }
  }
}

function checkMove(
  move: RowMove,
  { slots, rows }: RingWriteOptions,
  angles: number,
): void {
  checkIndex("slot", move.slot, slots);
  checkIndex("from", move.from, rows);
  checkIndex("to", move.to, rows);
  if (move.angle !== -1) checkIndex("angle", move.angle, angles);
}

function checkIndex(
  name: keyof RowMove,
  value: number,
  count: number,
): void {
  if (!Number.isInteger(value) || value < 0 || value >= count) {
    throw new RangeError(
      `Cannot use ${name} of a move as one of ${count}: current value is ${value}`,
    );
  }
}
