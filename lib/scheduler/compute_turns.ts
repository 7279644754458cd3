/**
 * Decoders that compute on the same cores take turns: side by side each would take longer than both
 * one after the other.
 *
 * @module
 */

/** A line at the cores, first come first served. */
export class ComputeTurns {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Does some work once all that came before is done. Whoever comes again stands behind those who
   * wait, so that all get as many turns.
   *
   * @throws whatever `work` throws, which is no concern of those who wait
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { ComputeTurns } from "./compute_turns.ts";
   * const turns = new ComputeTurns();
   * const told: string[] = [];
   * const work = (name: string) => async () => {
   *   told.push(`${name} begins`);
   *   await Promise.resolve();
   *   told.push(`${name} ends`);
   * };
   * await Promise.all([turns.take(work("a")), turns.take(work("b"))]);
   * assertEquals(told, ["a begins", "a ends", "b begins", "b ends"]);
   * ```
   */
  take<Given>(work: () => Promise<Given>): Promise<Given> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
