/** Reads buffers back from a GPU. @module */
import type { Gpu } from "../../engine/gpu.ts";

const { COPY_DST, MAP_READ } = GPUBufferUsage;

/** A way back to the host, for one reader at a time. */
export class Reader {
  readonly #gpu: Gpu;
  readonly #landing: GPUBuffer;

  /** @param most bytes of one {@linkcode read} at most */
  constructor(gpu: Gpu, most: number) {
    this.#gpu = gpu;
    this.#landing = this.#claim(most);
  }

  /**
   * Part of a buffer, through memory that was claimed beforehand.
   *
   * @throws {Error} if the device is lost
   */
  async read(
    buffer: GPUBuffer,
    { offset, bytes }: { offset: number; bytes: number },
  ): Promise<ArrayBuffer> {
    this.#copy(buffer, offset, this.#landing, bytes);
    return await this.#map(this.#landing, bytes);
  }

  /**
   * The first bytes of a buffer, through memory of its own, so that any number can be under way.
   *
   * @throws {Error} if the device is lost
   */
  async take(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    const landing = this.#claim(bytes);
    try {
      this.#copy(buffer, 0, landing, bytes);
      return await this.#map(landing, bytes);
    } finally {
      landing.destroy();
    }
  }

  /** Frees its memory. */
  destroy(): void {
    this.#landing.destroy();
  }

  #claim(size: number): GPUBuffer {
    return this.#gpu.buffer("scratch", {
      label: "landing",
      size,
      usage: COPY_DST | MAP_READ,
    });
  }

  #copy(
    from: GPUBuffer,
    offset: number,
    to: GPUBuffer,
    bytes: number,
  ): void {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, offset, to, 0, bytes);
    device.queue.submit([encoder.finish()]);
  }

  async #map(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    await buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    const copy = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    return copy;
  }
}
