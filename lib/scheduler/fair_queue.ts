/**
 * A bounded line, first come first served, but fair to clients: whoever sends many requests at once
 * delays their own, and can neither lock others out of a full line nor keep them waiting for long.
 *
 * @module
 */

interface Place<T> {
  readonly item: T;
  /** Counts arrivals and turns. */
  readonly order: number;
}

/** What one client has waiting. */
interface Line<T> {
  /** At least one, first come first. */
  readonly places: Place<T>[];
  /** When this client last had a turn, in the numbers of {@linkcode Place.order}. */
  turn: number;
}

/** Items of clients that take turns. */
export class FairQueue<T> {
  readonly #capacity: number;
  readonly #lines = new Map<string, Line<T>>();
  #length = 0;
  #order = 0;

  /**
   * @param capacity most items that wait; with 0, none does
   * @throws {RangeError} if that is no natural number
   */
  constructor(capacity: number) {
    if (!Number.isSafeInteger(capacity) || capacity < 0) {
      throw new RangeError(
        `Cannot make a queue for ${capacity} items: give a whole number from 0`,
      );
    }
    this.#capacity = capacity;
  }

  /** Items that wait. */
  get length(): number {
    return this.#length;
  }

  /**
   * Appends an item. If the line is full, the latest item of the client with the most makes room,
   * provided that this client still has no fewer than the newcomer's then.
   *
   * @returns the item that was dropped for want of room, maybe the new one; `null` if none was
   */
  push(client: string, item: T): T | null {
    const line = this.#lines.get(client) ?? { places: [], turn: 0 };
    let dropped: T | null = null;
    if (this.#length === this.#capacity) {
      const longest = this.#longest();
      if (!longest || longest.places.length <= line.places.length + 1) {
        return item;
      }
      dropped = longest.places.pop()!.item;
      this.#length--;
    }
    line.places.push({ item, order: ++this.#order });
    this.#lines.set(client, line);
    this.#length++;
    return dropped;
  }

  /** Takes an item out of the line; says whether it was there. */
  remove(item: T): boolean {
    for (const [client, { places }] of this.#lines) {
      const index = places.findIndex((place) => place.item === item);
      if (index < 0) continue;
      this.#take(client, index);
      return true;
    }
    return false;
  }

  /**
   * Takes the next item: the first one of the client that has the fewest running; of equals, of the
   * one that has waited longest since its first item came or since its last turn.
   */
  shift(running: (client: string) => number): T | undefined {
    let next: string | undefined;
    let least = [Infinity, Infinity] as const;
    for (const [client, { places, turn }] of this.#lines) {
      const rank = [running(client), Math.max(places[0]!.order, turn)] as const;
      if (rank[0] < least[0] || rank[0] === least[0] && rank[1] < least[1]) {
        [next, least] = [client, rank];
      }
    }
    if (next === undefined) return undefined;
    this.#lines.get(next)!.turn = ++this.#order;
    return this.#take(next, 0);
  }

  /** The line with the most items; of equals, the one that has grown last. */
  #longest(): Line<T> | undefined {
    let longest: Line<T> | undefined;
    for (const line of this.#lines.values()) {
      const more = line.places.length - (longest?.places.length ?? 0);
      if (
        more > 0 ||
        more === 0 && line.places.at(-1)!.order > longest!.places.at(-1)!.order
      ) {
        longest = line;
      }
    }
    return longest;
  }

  #take(client: string, index: number): T {
    const { places } = this.#lines.get(client)!;
    const [place] = places.splice(index, 1);
    if (places.length === 0) this.#lines.delete(client);
    this.#length--;
    return place!.item;
  }
}
