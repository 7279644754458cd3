/**
 * An async generator that can be cancelled while it waits. `return()` of a plain one takes effect
 * only at its next `yield`; here it aborts a signal first, so that waiting ends at once.
 *
 * @module
 */

/** Makes a generator whose `return()` aborts the signal it was started with. */
export function cancellable<T>(
  start: (signal: AbortSignal) => AsyncGenerator<T, void, void>,
): AsyncGenerator<T, void, void> {
  const controller = new AbortController();
  const inner = start(controller.signal);
  const DONE = { done: true, value: undefined } as const;

  async function settle(
    result: Promise<IteratorResult<T, void>>,
  ): Promise<IteratorResult<T, void>> {
    try {
      return await result;
    } catch (error) {
      if (controller.signal.aborted) return DONE;
      throw error;
    }
  }

  const generator: AsyncGenerator<T, void, void> = {
    next: () => settle(inner.next()),
    return: () => {
      controller.abort();
      return settle(inner.return());
    },
    throw: (error) => {
      controller.abort();
      return settle(inner.throw(error));
    },
    [Symbol.asyncIterator]: () => generator,
    [Symbol.asyncDispose]: async () => {
      await generator.return();
    },
  };
  return generator;
}
