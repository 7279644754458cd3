/** How requests ended, counted. @module */

/** How one request ended. */
export type Outcome =
  | { readonly kind: "finished" }
  /** Its client left, as it meant to. */
  | { readonly kind: "left" }
  /** 503 with Retry-After. */
  | { readonly kind: "unavailable"; readonly retryAfter: number }
  /** An error in a stream that had begun. */
  | { readonly kind: "stream error"; readonly code: string }
  /** Anything else, which should not be. */
  | { readonly kind: "unexpected"; readonly what: string };

/** What a client saw of one request. */
export interface Exchange {
  readonly outcome: Outcome;
  /** What of the answer was read. */
  readonly text: string;
  /** Parts of it: about a token each. */
  readonly parts: number;
  /** Milliseconds to the first of them; `null` if none came. */
  readonly firstPartMs: number | null;
}

/** All requests of a soak. */
export interface Tally {
  readonly finished: number;
  readonly left: number;
  readonly unavailable: number;
  readonly streamErrors: ReadonlyMap<string, number>;
  /** What should not be, and how often. */
  readonly unexpected: ReadonlyMap<string, number>;
  readonly parts: number;
  readonly firstPartMs: readonly number[];
}

/** Counts exchanges as they come. */
export class TallyCounter implements Tally {
  finished = 0;
  left = 0;
  unavailable = 0;
  readonly streamErrors = new Map<string, number>();
  readonly unexpected = new Map<string, number>();
  parts = 0;
  readonly firstPartMs: number[] = [];

  /** Adds one request. */
  add({ outcome, parts, firstPartMs }: Exchange): void {
    this.parts += parts;
    if (firstPartMs !== null) this.firstPartMs.push(firstPartMs);
    switch (outcome.kind) {
      case "finished":
        this.finished++;
        break;
      case "left":
        this.left++;
        break;
      case "unavailable":
        this.unavailable++;
        break;
      case "stream error":
        increment(this.streamErrors, outcome.code);
        break;
      case "unexpected":
        this.problem(outcome.what);
    }
  }

  /** Adds something that should not be and is no request's outcome. */
  problem(what: string): void {
    increment(this.unexpected, what);
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
