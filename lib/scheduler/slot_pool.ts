/**
 * Lends slots to requests: at once while one is not busy; else requests wait in a fair line, for a
 * bounded time.
 *
 * @module
 */
import { UnavailableError } from "../chat/chat_model.ts";
import { FairQueue } from "./fair_queue.ts";
import type { Kept } from "./snapshot_store.ts";
import { type SlotBytes, type SlotStore, SlotTable } from "./slot_table.ts";
import { WaitEstimate } from "./wait_estimate.ts";

/** Bounds of a pool. */
export interface SlotPoolOptions {
  /** Most requests that wait; with 0, none does. */
  readonly queue: number;
  /** Longest wait, in milliseconds. */
  readonly queueTimeout: number;
  /** Most bytes of conversations swapped out of their slots; with 0, none is kept. */
  readonly swapBytes: number;
}

/** Who wants a slot, and what for. */
export interface SlotRequest<Memory> {
  /** Who takes turns with the others in line. */
  readonly client: string;
  /** What an idle conversation is worth to this request; one is taken only above 0. */
  score(memory: Memory): number;
  /** Leaves the line. */
  readonly signal: AbortSignal;
}

/** A slot on loan. */
export interface Lease<Memory> {
  readonly slot: number;
  /** Whether the conversation was moved out of its slot meanwhile. */
  readonly swapped: boolean;
  /** The conversation in the slot; `null` if nothing in there is of use. */
  readonly memory: Memory | null;
  /** Gives the slot back with the conversation in it; `null` forgets. Later calls do nothing. */
  release(memory: Memory | null): void;
}

interface Waiter<Memory> {
  readonly request: SlotRequest<Memory>;
  readonly lease: PromiseWithResolvers<Lease<Memory>>;
}

const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Lends a decoder's slots, and the conversations in them. */
export class SlotPool<Memory> {
  readonly #options: SlotPoolOptions;
  readonly #slots: number;
  readonly #table: SlotTable<Memory>;
  readonly #queue: FairQueue<Waiter<Memory>>;
  readonly #estimate: WaitEstimate;
  /** Clients of the slots on loan. */
  readonly #clients = new Map<number, string>();

  /** @throws {RangeError} if an option is out of range. */
  constructor(store: SlotStore, options: SlotPoolOptions) {
    const { queue, queueTimeout, swapBytes } = options;
    if (!(queueTimeout >= 0 && queueTimeout <= LONGEST_TIMEOUT)) {
      throw new RangeError(
        `Cannot let requests wait for ${queueTimeout} ms: give 0 to ${LONGEST_TIMEOUT}`,
      );
    }
    this.#options = options;
    this.#slots = store.slots;
    this.#table = new SlotTable(store, swapBytes);
    this.#queue = new FairQueue(queue);
    this.#estimate = new WaitEstimate(store.slots);
  }

  /** Slots on loan. */
  get busy(): number {
    return this.#table.busy;
  }

  /** Requests in line. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Bytes of caches by what they are for. */
  get bytes(): SlotBytes {
    return this.#table.bytes;
  }

  /** Conversations moved out of their slots, and back into one, so far. */
  get swaps(): { readonly out: number; readonly in: number } {
    return this.#table.swaps;
  }

  /** Whether an idle conversation scores above 0. */
  has(score: (memory: Memory) => number): boolean {
    return this.#table.has(score);
  }

  /** A copy of the idle conversation that scores best and above 0, which stays where it is; else `null`. */
  copy(score: (memory: Memory) => number): Kept<Memory> | null {
    return this.#table.copy(score);
  }

  /**
   * Lends a slot, with the idle conversation in it that scores best. A lease that was given must be
   * released, also when the signal was aborted just then.
   *
   * @throws {UnavailableError} `queue_full` if there is no room in line, or none any more, as a
   * client with fewer requests came; `queue_timeout` if the request's turn did not come in time.
   * @throws the signal's reason if it is aborted before, and whatever `score` throws.
   */
  async acquire(request: SlotRequest<Memory>): Promise<Lease<Memory>> {
    request.signal.throwIfAborted();
    return this.#table.full ? await this.#wait(request) : this.#lend(request);
  }

  async #wait(request: SlotRequest<Memory>): Promise<Lease<Memory>> {
    const { client, signal } = request;
    const waiter: Waiter<Memory> = { request, lease: Promise.withResolvers() };
    const dropped = this.#queue.push(client, waiter);
    dropped?.lease.reject(
      dropped === waiter ? this.#refused() : this.#displaced(),
    );

    const leave = (reason: () => unknown) => {
      if (this.#queue.remove(waiter)) waiter.lease.reject(reason());
    };
    const onAbort = () => leave(() => signal.reason);
    const onTimeout = () => leave(() => this.#timedOut());
    signal.addEventListener("abort", onAbort);
    const timer = setTimeout(onTimeout, this.#options.queueTimeout);
    try {
      return await waiter.lease.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Lends what is not busy to those who wait. */
  #serve(): void {
    while (!this.#table.full) {
      const waiter = this.#queue.shift((client) => this.#running(client));
      if (!waiter) return;
      waiter.lease.resolve(this.#lend(waiter.request));
    }
  }

  #running(client: string): number {
    let count = 0;
    for (const other of this.#clients.values()) if (other === client) count++;
    return count;
  }

  /** Takes a slot at once, and lends it when its conversation is there. */
  async #lend(request: SlotRequest<Memory>): Promise<Lease<Memory>> {
    const { slot, swapped, memory } = this.#table.take((idle) =>
      request.score(idle)
    );
    this.#clients.set(slot, request.client);
    const since = performance.now();
    let held = true;
    return {
      slot,
      swapped,
      memory: await memory,
      release: (next) => {
        if (!held) return;
        held = false;
        this.#estimate.add(performance.now() - since);
        this.#clients.delete(slot);
        this.#table.giveBack(slot, next);
        this.#serve();
      },
    };
  }

  #refused(): UnavailableError {
    return this.#unavailable(
      "queue_full",
      `All slots of this server (${this.#slots}) are busy, and all places in line ` +
        `(${this.#options.queue}) taken`,
    );
  }

  #displaced(): UnavailableError {
    return this.#unavailable(
      "queue_full",
      `All places in line (${this.#options.queue}) are taken, no client had more of them than ` +
        `you, and your latest request made room for another client's: send fewer at once`,
    );
  }

  #timedOut(): UnavailableError {
    const seconds = this.#options.queueTimeout / 1000;
    return this.#unavailable(
      "queue_timeout",
      `The request waited for ${seconds} s, as long as this server lets any, and no slot came ` +
        `free for it`,
    );
  }

  #unavailable(
    code: "queue_full" | "queue_timeout",
    message: string,
  ): UnavailableError {
    const seconds = this.#estimate.seconds(this.#queue.length + 1);
    return new UnavailableError(
      code,
      `${message}; try again in ${seconds} s`,
      seconds,
    );
  }
}
