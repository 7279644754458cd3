/** Giving way to everything else that is ready. @module */
import { setImmediate } from "node:timers";

/**
 * One turn of the event loop: conversations that just got a token ask again, messages come in and go
 * out. (A timer of 0 ms takes 2.)
 */
export function eventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
