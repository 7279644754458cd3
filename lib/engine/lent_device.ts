/**
 * A device lent to code that never lets go of it. ONNX Runtime (1.30.0) keeps every device and queue
 * that it was ever given in a table, and with them, in Deno (2.9.6), most of the memory of their
 * buffers, destroyed or not: 120 MB for each rebuild of a session with 64 MB of weights. So it gets
 * stand-ins, which can be taken back.
 *
 * @module
 */

/** A stand-in for a device and its queue. */
export interface LentDevice {
  /** Does what the device does, and passes for one. */
  readonly device: GPUDevice;
  /** Lets go of the device; using the stand-in throws a `TypeError` from then on. */
  takeBack(): void;
}

/** Makes a stand-in for a device. */
export function lend(device: GPUDevice): LentDevice {
  const queue = standIn(device.queue, {});
  const lent = standIn(device, { queue: queue.proxy });
  return {
    device: lent.proxy,
    takeBack(): void {
      queue.revoke();
      lent.revoke();
    },
  };
}

/** Platform objects know only themselves as `this`, not a proxy of them. */
function standIn<T extends object>(
  target: T,
  instead: Partial<T>,
): { proxy: T; revoke: () => void } {
  return Proxy.revocable(target, {
    get(target, name) {
      const source = Object.hasOwn(instead, name) ? instead : target;
      const value = Reflect.get(source, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
