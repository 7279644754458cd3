/** Work for a client that may leave before there is a response. @module */

/**
 * Calls `leave` if the client leaves, or if the work fails. Listens no longer than the work takes:
 * Deno fires the signal for requests that were answered, too, and a response stream has `cancel()`.
 */
export async function whileConnected<T>(
  { signal }: Request,
  leave: () => void,
  work: () => Promise<T>,
): Promise<T> {
  signal.addEventListener("abort", leave);
  if (signal.aborted) leave();
  try {
    return await work();
  } catch (error) {
    leave();
    throw error;
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
