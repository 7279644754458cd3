/** Holds each client to its limits, and tells it how it stands, in OpenAI's headers. @module */
import type { Context, MiddlewareHandler } from "hono";
import type { RecordVariables } from "../observe/request_record.ts";
import { ApiError } from "../openai/errors.ts";
import {
  type Allowance,
  RateLimiter,
  type RateLimits,
  type Refusal,
} from "./rate_limits.ts";

/** The headers that tell a client how it stands. */
export const RATE_HEADERS: readonly string[] = ["requests", "tokens"].flatMap(
  (of) =>
    ["limit", "remaining", "reset"].map((what) => `x-ratelimit-${what}-${of}`),
);

/**
 * Refuses requests that are over a limit.
 *
 * @param who tells clients apart; it must not be for a client to choose
 */
export function limitRate(
  limits: RateLimits,
  who: (c: Context) => string,
): MiddlewareHandler<{ Variables: RecordVariables }> {
  const limiter = new RateLimiter(limits);
  return async (c, next) => {
    const allowance = limiter.of(who(c));
    const refusal = allowance.begin();
    if (refusal) {
      throw tooMany(refusal, { limits, headers: standing(allowance) });
    }
    const record = c.get("record");
    record.onComputed = (tokens) => allowance.spend(tokens);
    record.atEnd(() => allowance.end());
    await next();
    for (const [name, value] of Object.entries(standing(allowance))) {
      c.res.headers.set(name, value);
    }
  };
}

function standing(allowance: Allowance): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const what of ["requests", "tokens"] as const) {
    const now = allowance.standing(what);
    if (now === null) continue;
    headers[`x-ratelimit-limit-${what}`] = String(now.limit);
    headers[`x-ratelimit-remaining-${what}`] = String(now.remaining);
    headers[`x-ratelimit-reset-${what}`] = duration(now.reset);
  }
  return headers;
}

/**
 * A time as OpenAI writes it: `20ms`, `1.5s`, `6m0s`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { duration } from "./limit_rate.ts";
 * assertEquals([0, 0.0195, 1.5, 360].map(duration), ["0s", "20ms", "1.5s", "6m0s"]);
 * ```
 */
export function duration(seconds: number): string {
  const ms = Math.ceil(seconds * 1000);
  if (ms > 0 && ms < 1000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  const rest = `${(ms % 60_000) / 1000}s`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}

const UNITS = {
  requests: "requests per minute",
  tokens: "tokens per minute",
  streams: "answers at the same time",
};

function tooMany(
  { limit, retryAfter }: Refusal,
  { limits, headers }: { limits: RateLimits; headers: Record<string, string> },
): ApiError {
  return new ApiError(429, {
    message: `Rate limit reached: ${limits[limit]} ${UNITS[limit]}. ` +
      `Try again in ${retryAfter} s.`,
    type: limit === "tokens" ? "tokens" : "requests",
    param: null,
    code: "rate_limit_exceeded",
  }, { ...headers, "retry-after": String(retryAfter) });
}
