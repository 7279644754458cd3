/**
 * When to start again what crashes.
 *
 * @module
 */

const MINUTE = 60_000;
const MOST = 5;

/**
 * Waits longer from crash to crash, and gives up at the fifth within a minute.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { CrashRecord } from "./crash_record.ts";
 *
 * const crashes = new CrashRecord();
 * const delays = [0, 1, 2, 3, 4, 90].map((seconds) => crashes.add(seconds * 1000));
 * assertEquals(delays, [0, 500, 1000, 2000, null, 0]);
 * ```
 */
export class CrashRecord {
  #times: number[] = [];

  /**
   * Notes a crash.
   *
   * @param now milliseconds
   * @returns milliseconds to wait before the next start, `null` to give up
   */
  add(now: number): number | null {
    this.#times = this.#times.filter((time) => now - time < MINUTE);
    const before = this.#times.push(now) - 1;
    if (before + 1 >= MOST) return null;
    return before === 0 ? 0 : 250 * 2 ** before;
  }
}
