/** Errors of what is done on a device at once, whatever else is under way there. @module */

const FILTERS: readonly GPUErrorFilter[] = [
  "validation",
  "out-of-memory",
  "internal",
];

/**
 * Does something without a pause: so its error scopes lie within those of whatever is under way.
 *
 * @returns the device's errors, once they are known
 * @throws what the work throws
 */
export function errorsOf(
  device: GPUDevice,
  work: () => void,
): Promise<readonly string[]> {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  const popped: Promise<GPUError | null>[] = [];
  try {
    work();
  } finally {
    for (const _ of FILTERS) popped.push(device.popErrorScope());
  }
  return Promise.all(popped).then((errors) =>
    errors.filter((error) => error !== null).map(({ message }) => message)
  );
}
