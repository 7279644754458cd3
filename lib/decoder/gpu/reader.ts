/** Reads from a GPU. @module */
import type { Gpu } from "../../engine/gpu.ts";
import { errorsOf } from "../../engine/error_scopes.ts";

const { COPY_DST, MAP_READ } = GPUBufferUsage;

/** What is read: copies of it into a buffer, from its beginning on. */
export interface Reading {
  /** For the error message, as in "Cannot … on the GPU". */
  readonly what: string;
  readonly bytes: number;
  copy(encoder: GPUCommandEncoder, landing: GPUBuffer): void;
}

/** A way to the host through memory that was claimed beforehand: for one reading at a time. */
export class Reader {
  readonly #gpu: Gpu;
  readonly #landing: GPUBuffer;
  #busy = false;

  /**
   * @param label of its buffer
   * @param most bytes of a reading at most
   */
  constructor(gpu: Gpu, label: string, most: number) {
    this.#gpu = gpu;
    this.#landing = claim(gpu, label, most);
  }

  /** Whether a reading is under way. */
  get busy(): boolean {
    return this.#busy;
  }

  /**
   * Reads something as it is now, though its bytes come later.
   *
   * @throws {GpuLostError} if the device is lost
   * @throws {Error} if it fails otherwise, or another reading is under way
   */
  async read(reading: Reading): Promise<ArrayBuffer> {
    if (this.#busy) {
      throw new Error(`Cannot ${reading.what}: the last one has not ended`);
    }
    this.#busy = true;
    try {
      return await fetchFrom(this.#gpu, this.#landing, reading);
    } finally {
      this.#busy = false;
    }
  }

  /** Frees its memory. */
  destroy(): void {
    this.#landing.destroy();
  }
}

/** Likewise, through memory claimed for this once: any number can be under way. */
export async function readOnce(
  gpu: Gpu,
  reading: Reading,
): Promise<ArrayBuffer> {
  let landing: GPUBuffer | null = null;
  try {
    return await fetchFrom(
      gpu,
      () => landing = claim(gpu, "landing", reading.bytes),
      reading,
    );
  } finally {
    (landing as GPUBuffer | null)?.destroy();
  }
}

function claim(gpu: Gpu, label: string, size: number): GPUBuffer {
  return gpu.buffer("scratch", {
    label,
    size,
    usage: COPY_DST | MAP_READ,
  });
}

async function fetchFrom(
  gpu: Gpu,
  place: GPUBuffer | (() => GPUBuffer),
  { what, bytes, copy }: Reading,
): Promise<ArrayBuffer> {
  const { device } = gpu;
  return await gpu.alive(what, async () => {
    let landing!: GPUBuffer;
    const errors = errorsOf(device, () => {
      landing = typeof place === "function" ? place() : place;
      const encoder = device.createCommandEncoder();
      copy(encoder, landing);
      device.queue.submit([encoder.finish()]);
    });
    const [mapped] = await Promise.allSettled([
      landing.mapAsync(GPUMapMode.READ, 0, bytes),
    ]);
    const messages = await errors;
    if (messages.length > 0) {
      if (mapped.status === "fulfilled") landing.unmap();
      throw new Error(`Cannot ${what} on the GPU: ${messages.join("; ")}`);
    }
    if (mapped.status === "rejected") throw mapped.reason;
    const data = landing.getMappedRange(0, bytes).slice(0);
    landing.unmap();
    return data;
  });
}
