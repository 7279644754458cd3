/** How many conversations a memory holds. @module */

/**
 * Slots of `each` bytes in a memory.
 *
 * @throws {RangeError} if not even one fits
 */
export function fittingSlots(
  memory: number,
  each: number,
  { sinks, window }: { sinks: number; window: number },
): number {
  const slots = Math.floor(memory / each);
  if (slots > 0) return slots;
  throw new RangeError(
    `Cannot keep a conversation in ${memory} bytes (EVERSTREAM_MEMORY): ${sinks} sinks ` +
      `and a window of ${window} tokens take ${each}. Give at least that, or make ` +
      `EVERSTREAM_WINDOW smaller`,
  );
}
