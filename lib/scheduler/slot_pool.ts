/**
 * Who has which slot. A conversation that goes on finds the slot that remembers it; any other gets
 * one never used, else the one idle for longest, so that no stranger takes a slot from a
 * conversation while there is another; while all are busy, requests wait in line.
 *
 * @module
 */

/** A slot and what is remembered of the conversation in it. */
interface Entry<Memory> {
  readonly slot: number;
  memory: Memory | null;
  busy: boolean;
  /** Counts releases: the lowest has been idle for longest. */
  released: number;
}

/** A slot on loan. */
export interface Lease<Memory> {
  readonly slot: number;
  /** What the slot remembers, maybe of another conversation; `null` if nothing. */
  readonly memory: Memory | null;
  /** Gives the slot back with what to remember; `null` forgets. Later calls do nothing. */
  release(memory: Memory | null): void;
}

interface Waiter<Memory> {
  readonly score: (memory: Memory) => number;
  readonly lease: PromiseWithResolvers<Lease<Memory>>;
}

/** Lends a fixed number of slots. */
export class SlotPool<Memory> {
  readonly #entries: Entry<Memory>[];
  readonly #waiting: Waiter<Memory>[] = [];
  #releases = 0;

  constructor(slots: number) {
    this.#entries = Array.from({ length: slots }, (_, slot) => ({
      slot,
      memory: null,
      busy: false,
      released: 0,
    }));
  }

  /** Slots on loan. */
  get busy(): number {
    return this.#entries.filter((entry) => entry.busy).length;
  }

  /** Requests in line. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Lends a slot, when one is idle and all earlier requests have theirs.
   *
   * @param score what a remembered conversation is worth to this request; a slot is taken for what
   * it remembers only above 0
   * @param signal leaves the line
   */
  acquire(
    score: (memory: Memory) => number,
    signal: AbortSignal,
  ): Promise<Lease<Memory>> {
    signal.throwIfAborted();
    const waiter: Waiter<Memory> = { score, lease: Promise.withResolvers() };
    const leave = () => {
      const index = this.#waiting.indexOf(waiter);
      if (index < 0) return;
      this.#waiting.splice(index, 1);
      waiter.lease.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.push(waiter);
    this.#serve();
    return waiter.lease.promise.finally(() =>
      signal.removeEventListener("abort", leave)
    );
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const idle = this.#entries.filter((entry) => !entry.busy);
      if (idle.length === 0) return;
      const { score, lease } = this.#waiting.shift()!;
      lease.resolve(this.#lend(...choose(idle, score)));
    }
  }

  #lend(entry: Entry<Memory>, memory: Memory | null): Lease<Memory> {
    entry.busy = true;
    entry.memory = null;
    let held = true;
    return {
      slot: entry.slot,
      memory,
      release: (next) => {
        if (!held) return;
        held = false;
        entry.busy = false;
        entry.memory = next;
        entry.released = ++this.#releases;
        this.#serve();
      },
    };
  }
}

/** The idle slot whose memory scores best; else one without memory; else the longest idle. */
function choose<Memory>(
  idle: readonly Entry<Memory>[],
  score: (memory: Memory) => number,
): [Entry<Memory>, Memory | null] {
  let best = idle[0]!;
  let bestScore = 0;
  for (const entry of idle) {
    const value = entry.memory === null ? 0 : score(entry.memory);
    if (value > bestScore) [best, bestScore] = [entry, value];
  }
  if (bestScore > 0) return [best, best.memory];
  const order = (entry: Entry<Memory>) =>
    entry.memory === null ? -1 : entry.released;
  const entry = idle.reduce((a, b) => order(b) < order(a) ? b : a);
  return [entry, entry.memory];
}
