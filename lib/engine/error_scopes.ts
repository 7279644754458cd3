/** Errors of what is done on a device, by its error scopes, which are a stack. @module */

const FILTERS: readonly GPUErrorFilter[] = [
  "validation",
  "out-of-memory",
  "internal",
];

/** Begins to gather errors; each call needs one of {@linkcode popErrorScopes}. */
export function pushErrorScopes(device: GPUDevice): void {
  for (const filter of FILTERS) device.pushErrorScope(filter);
}

/** Ends what was begun last; gives the errors' messages, once they are known. */
export async function popErrorScopes(
  device: GPUDevice,
): Promise<readonly string[]> {
  const popped = FILTERS.map(() => device.popErrorScope());
  const errors = await Promise.all(popped);
  return errors.filter((error) => error !== null).map(({ message }) => message);
}

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
  pushErrorScopes(device);
  let popped!: Promise<readonly string[]>;
  try {
    work();
  } finally {
    popped = popErrorScopes(device);
  }
  return popped;
}
