/** What each client may ask for, and what it has left. @module */
import { TokenBucket } from "./token_bucket.ts";

/** Limits of one client; 0 is no limit. */
export interface RateLimits {
  /** Requests per minute. */
  readonly requests: number;
  /** Tokens per minute: of prompts, but for those in a cache, and of answers. */
  readonly tokens: number;
  /** Answers under way at the same time. */
  readonly streams: number;
}

/** Which limit a client has reached, and the whole seconds after which it may try again. */
export interface Refusal {
  readonly limit: keyof RateLimits;
  readonly retryAfter: number;
}

/** What is left of a limit. */
export interface Standing {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until nothing of it is used up. */
  readonly reset: number;
}

/** How much of a client's limits is used up. */
export class Allowance {
  readonly #limits: RateLimits;
  readonly #now: () => number;
  readonly #buckets: {
    requests: TokenBucket | null;
    tokens: TokenBucket | null;
  };
  #streams = 0;

  constructor(limits: RateLimits, now: () => number) {
    const bucket = (perMinute: number) =>
      perMinute === 0 ? null : new TokenBucket(perMinute, now());
    this.#limits = limits;
    this.#now = now;
    this.#buckets = {
      requests: bucket(limits.requests),
      tokens: bucket(limits.tokens),
    };
  }

  /** Begins a request, unless a limit is reached: that costs nothing. */
  begin(): Refusal | null {
    const now = this.#now();
    const { requests, tokens } = this.#buckets;
    // What an answer will cost is not known: one token left is enough to ask.
    const waits = {
      requests: requests?.secondsUntil(1, now) ?? 0,
      tokens: tokens?.secondsUntil(1, now) ?? 0,
    };
    for (const limit of ["requests", "tokens"] as const) {
      if (waits[limit] > 0) {
        return { limit, retryAfter: Math.ceil(waits[limit]) };
      }
    }
    if (this.#limits.streams > 0 && this.#streams >= this.#limits.streams) {
      return { limit: "streams", retryAfter: 1 };
    }
    requests?.spend(1, now);
    this.#streams++;
    return null;
  }

  /** Ends a request that was begun. */
  end(): void {
    this.#streams--;
  }

  /** Takes tokens that were computed. */
  spend(tokens: number): void {
    this.#buckets.tokens?.spend(tokens, this.#now());
  }

  /** How things stand; `null` for what has no limit. */
  standing(of: "requests" | "tokens"): Standing | null {
    const bucket = this.#buckets[of];
    if (bucket === null) return null;
    const now = this.#now();
    return {
      limit: bucket.perMinute,
      remaining: Math.max(0, Math.floor(bucket.level(now))),
      reset: bucket.secondsUntilFull(now),
    };
  }

  /** Whether a request is under way. */
  get busy(): boolean {
    return this.#streams > 0;
  }
}

/** How a {@linkcode RateLimiter} works. */
export interface LimiterOptions {
  /** Seconds since whenever. */
  now?: () => number;
  /** Most clients that are remembered, those with a request under way aside. Default 10,000. */
  most?: number;
}

/**
 * The allowances of all clients. When there are too many, those that asked longest ago are
 * forgotten, which gives them their limits back.
 */
export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #now: () => number;
  readonly #most: number;
  /** In the order in which they asked last. */
  readonly #allowances = new Map<string, Allowance>();

  constructor(
    limits: RateLimits,
    { now = () => performance.now() / 1000, most = 10_000 }: LimiterOptions =
      {},
  ) {
    this.#limits = limits;
    this.#now = now;
    this.#most = most;
  }

  /** Clients that are remembered. */
  get size(): number {
    return this.#allowances.size;
  }

  /** The allowance of a client. */
  of(client: string): Allowance {
    const allowance = this.#allowances.get(client) ??
      new Allowance(this.#limits, this.#now);
    this.#allowances.delete(client);
    if (this.#allowances.size >= this.#most) this.#forgetOne();
    this.#allowances.set(client, allowance);
    return allowance;
  }

  #forgetOne(): void {
    for (const [client, { busy }] of this.#allowances) {
      if (!busy) {
        this.#allowances.delete(client);
        return;
      }
    }
  }
}
