/**
 * What has come and was not taken yet, in order.
 *
 * @module
 */

/** A queue for one taker, who waits where it is empty. */
export class Inbox<T> {
  #items: T[] = [];
  #failure: { error: unknown } | null = null;
  #arrived = Promise.withResolvers<void>();

  /** Puts an item at the end. */
  push(item: T): void {
    this.#items.push(item);
    this.#arrived.resolve();
  }

  /** Lets {@linkcode take} throw once the items before are taken. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#arrived.resolve();
  }

  /**
   * Takes the first item, waiting for it.
   *
   * @throws what the inbox was failed with
   */
  async take(): Promise<T> {
    while (this.#items.length === 0) {
      if (this.#failure) throw this.#failure.error;
      this.#arrived = Promise.withResolvers<void>();
      await this.#arrived.promise;
    }
    return this.#items.shift()!;
  }
}
