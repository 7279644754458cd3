/** Buffers that belong to one kernel. @module */

/**
 * Makes buffers, counts their bytes and destroys them together.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { OwnBuffers } from "./own_buffers.ts";
 * const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
 * if (device) {
 *   const buffers = new OwnBuffers(device, "example");
 *   buffers.make(100, GPUBufferUsage.STORAGE);
 *   assertEquals(buffers.bytes, 100);
 *   buffers.destroy();
 *   assertEquals(buffers.bytes, 0);
 *   device.destroy();
 * }
 * ```
 */
export class OwnBuffers {
  readonly #device: GPUDevice;
  readonly #label: string;
  readonly #buffers = new Set<GPUBuffer>();

  /** @param label what the buffers are for; each bears it */
  constructor(device: GPUDevice, label: string) {
    this.#device = device;
    this.#label = label;
  }

  /** Bytes of all of them. */
  get bytes(): number {
    return [...this.#buffers].reduce((sum, { size }) => sum + size, 0);
  }

  /** A buffer of at least `bytes` bytes (and at least 16, for none may be empty), zeroed. */
  make(bytes: number, usage: number): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 4) * 4);
    const label = this.#label;
    const buffer = this.#device.createBuffer({ label, size, usage });
    this.#buffers.add(buffer);
    return buffer;
  }

  /** Destroys one of them. */
  free(buffer: GPUBuffer): void {
    this.#buffers.delete(buffer);
    buffer.destroy();
  }

  /** Destroys all of them. */
  destroy(): void {
    for (const buffer of this.#buffers) this.free(buffer);
  }
}
