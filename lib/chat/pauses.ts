/** Giving way during long work. @module */
import { eventLoop } from "../scheduler/event_loop.ts";

/** Lets others run between parts of long work, and ends it when nobody wants it any more. */
export function pauses(signal: AbortSignal): () => Promise<void> {
  return async () => {
    await eventLoop();
    signal.throwIfAborted();
  };
}
