/**
 * Kinds of caches side by side. Each needs another graph and so has a decoder of its own, with its
 * slots, its line and its shared beginnings; they share the cores, and nothing that a client sees.
 *
 * @module
 */
import { type CacheFormat, sameFormat } from "../cache/cache_format.ts";
import type { Decoder } from "../decoder/decoder.ts";
import { ComputeTurns } from "../scheduler/compute_turns.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import { SlotPool, type SlotPoolOptions } from "../scheduler/slot_pool.ts";
import { Beginnings } from "./beginnings.ts";
import type { ModelState } from "./chat_model.ts";

/** A model with caches of one kind. */
export interface ModelCache {
  readonly format: CacheFormat;
  /** Nobody else may use it. */
  readonly decoder: Decoder;
}

/** Bounds of all lanes together, but for the line, which each has for itself. */
export interface LaneLimits extends SlotPoolOptions {
  /** Most bytes of shared beginnings. */
  readonly sharedBytes: number;
}

/** One kind of cache, and what its conversations share. */
export class CacheLane<Memory> {
  readonly format: CacheFormat;
  readonly decoder: Decoder;
  readonly slots: SlotPool<Memory>;
  readonly scheduler: Scheduler;
  readonly beginnings: Beginnings;

  /** @param turns shared by the lanes of a model */
  constructor(
    { format, decoder }: ModelCache,
    limits: LaneLimits,
    turns: ComputeTurns,
  ) {
    this.format = format;
    this.decoder = decoder;
    this.slots = new SlotPool(decoder, limits);
    this.scheduler = new Scheduler(decoder, { turns });
    this.beginnings = new Beginnings(limits.sharedBytes);
  }
}

/** All kinds of caches that a model offers. */
export class CacheLanes<Memory> {
  /** The one of conversations that ask for nothing. */
  readonly standard: CacheLane<Memory>;
  /** The standard one first. */
  readonly all: readonly CacheLane<Memory>[];

  /**
   * Memory outside of slots is divided evenly.
   *
   * @param caches each of another format; the first is the standard
   * @throws {RangeError} if there is none, or a limit is out of range
   */
  constructor(caches: readonly ModelCache[], limits: LaneLimits) {
    const turns = new ComputeTurns();
    const share = {
      ...limits,
      swapBytes: Math.floor(limits.swapBytes / caches.length),
      sharedBytes: Math.floor(limits.sharedBytes / caches.length),
    };
    this.all = caches.map((cache) => new CacheLane(cache, share, turns));
    const [standard] = this.all;
    if (!standard) {
      throw new RangeError("Cannot chat without a cache: give at least one");
    }
    this.standard = standard;
  }

  /** The kinds there are, the standard one first. */
  get formats(): CacheFormat[] {
    return this.all.map(({ format }) => format);
  }

  /** @throws {RangeError} if there is none of this format */
  of(format: CacheFormat): CacheLane<Memory> {
    const lane = this.all.find((lane) => sameFormat(lane.format, format));
    if (lane) return lane;
    throw new RangeError(
      `There are no ${
        format.layered ? "layered " : ""
      }caches of ${format.kvBits} bits`,
    );
  }

  /** Requests that have a slot, and requests in line. */
  get load(): { running: number; waiting: number } {
    return {
      running: this.#sum(({ slots }) => slots.busy),
      waiting: this.#sum(({ slots }) => slots.waiting),
    };
  }

  /** What all lanes are at, together. */
  get state(): Omit<ModelState, "totals"> & {
    totals: Omit<ModelState["totals"], "evicted">;
  } {
    return {
      ...this.load,
      cacheBytes: {
        active: this.#sum(({ slots }) => slots.bytes.active),
        idle: this.#sum(({ slots }) => slots.bytes.idle),
        free: this.#sum(({ slots }) => slots.bytes.free),
        swapped: this.#sum(({ slots }) => slots.bytes.swapped),
        shared: this.#sum(({ beginnings }) => beginnings.bytes),
      },
      gpuBytes: this.#gpuBytes(),
      totals: {
        swappedOut: this.#sum(({ slots }) => slots.swaps.out),
        swappedIn: this.#sum(({ slots }) => slots.swaps.in),
        beginningsAsked: this.#sum(({ beginnings }) => beginnings.counts.asked),
        beginningsFound: this.#sum(({ beginnings }) => beginnings.counts.found),
      },
    };
  }

  #gpuBytes(): ModelState["gpuBytes"] {
    if (this.all.every(({ decoder }) => !decoder.gpuBytes)) return null;
    return {
      weights: this.#sum(({ decoder }) => decoder.gpuBytes?.weights ?? 0),
      caches: this.#sum(({ decoder }) => decoder.gpuBytes?.caches ?? 0),
      scratch: this.#sum(({ decoder }) => decoder.gpuBytes?.scratch ?? 0),
    };
  }

  #sum(of: (lane: CacheLane<Memory>) => number): number {
    return this.all.reduce((sum, lane) => sum + of(lane), 0);
  }
}
