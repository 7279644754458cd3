/**
 * What threads know of a step in common: who asks which rows, and which part of a layer is to be computed next.
 * A part (an item) is one conversation's queries of one KV head.
 *
 * @module
 */

/** Rows that lie beside each other: `rows` from the `first` of a layer's part. */
export interface RowRun {
  readonly part: number;
  readonly first: number;
  readonly rows: number;
}

/** The stored rows that one conversation's token sees. */
export interface PlannedLane {
  readonly slot: number;
  readonly runs: readonly RowRun[];
}

// Where in the plan each number is.
const ROUND = 0;
const LEFT = 1;
const DONE = 2;
const LAYER = 3;
const ITEMS = 4;
const FAILED = 5;
const ENDED = 6;
const STEP = 7;
const LANES = 8;

/** Milliseconds after which a thread that waits looks up: only then can it be terminated from outside. */
const LOOK_UP = 1_000;

/** The plan; each thread has its own over the same memory. */
export class StepPlan {
  readonly #numbers: Int32Array<SharedArrayBuffer>;
  readonly #mostRuns: number;

  constructor(
    { buffer, mostRuns }: { buffer: SharedArrayBuffer; mostRuns: number },
  ) {
    this.#numbers = new Int32Array(buffer);
    this.#mostRuns = mostRuns;
  }

  /** Memory for the plans of so many conversations. */
  static claim(
    { lanes, mostRuns }: { lanes: number; mostRuns: number },
  ): SharedArrayBuffer {
    return new SharedArrayBuffer(4 * (LANES + lanes * laneSize(mostRuns)));
  }

  /** Layer that is computed. */
  get layer(): number {
    return this.#numbers[LAYER]!;
  }

  /** Which step it is. */
  get step(): number {
    return this.#numbers[STEP]!;
  }

  /** One conversation. */
  lane(index: number): PlannedLane {
    const at = LANES + index * laneSize(this.#mostRuns);
    const numbers = this.#numbers;
    const runs = Array.from({ length: numbers[at + 1]! }, (_, i) => {
      const run = at + 2 + 3 * i;
      return {
        part: numbers[run]!,
        first: numbers[run + 1]!,
        rows: numbers[run + 2]!,
      };
    });
    return { slot: numbers[at]!, runs };
  }

  /** Writes down who is in the step; no thread may be at work. */
  write(lanes: readonly PlannedLane[]): void {
    for (const [index, { slot, runs }] of lanes.entries()) {
      const at = LANES + index * laneSize(this.#mostRuns);
      const numbers = runs.flatMap((r) => [r.part, r.first, r.rows]);
      this.#numbers.set([slot, runs.length, ...numbers], at);
    }
    this.#numbers[STEP]! += 1;
  }

  /** Begins a layer: wakes all threads. */
  begin(layer: number, items: number): void {
    const numbers = this.#numbers;
    numbers[LAYER] = layer;
    numbers[ITEMS] = items;
    Atomics.store(numbers, DONE, 0);
    // From here on a thread that is still awake may take an item, so this comes last. One number says whether there
    // is one and which: whoever looks at two may see one of this layer and one of that before.
    Atomics.store(numbers, LEFT, items);
    Atomics.add(numbers, ROUND, 1);
    Atomics.notify(numbers, ROUND);
  }

  /** Takes the next item; `null` if none is left. */
  take(): number | null {
    const left = Atomics.sub(this.#numbers, LEFT, 1);
    return left > 0 ? left - 1 : null;
  }

  /** Says that a taken item is computed, or that it cannot be. */
  done(failed = false): void {
    if (failed) Atomics.store(this.#numbers, FAILED, 1);
    Atomics.add(this.#numbers, DONE, 1);
  }

  /**
   * Waits until the whole layer is computed: by looking, since that takes less time than to sleep would.
   *
   * @throws {Error} if some thread failed
   */
  finish(): void {
    const numbers = this.#numbers;
    while (Atomics.load(numbers, DONE) < numbers[ITEMS]!);
    if (Atomics.exchange(numbers, FAILED, 0) !== 0) {
      throw new Error(`Cannot attend in layer ${this.layer}: a thread failed`);
    }
  }

  /** Waits for a round behind `last` and gives its number; `null` if there will be none. */
  wait(last: number): number | null {
    const numbers = this.#numbers;
    while (Atomics.load(numbers, ENDED) === 0) {
      const round = Atomics.load(numbers, ROUND);
      if (round !== last) return round;
      Atomics.wait(numbers, ROUND, last, LOOK_UP);
    }
    return null;
  }

  /** Ends all threads that wait. */
  end(): void {
    Atomics.store(this.#numbers, ENDED, 1);
    Atomics.notify(this.#numbers, ROUND);
  }
}

function laneSize(mostRuns: number): number {
  return 2 + 3 * mostRuns;
}
