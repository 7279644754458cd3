/** Kinds of parameters; their messages say what a value must be (see `issues.ts`). @module */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";

/** A number within bounds, or none. */
export function number(min: number, max: number) {
  const what = `a number from ${min} to ${max}`;
  return z.number(what).min(min, what).max(max, what).nullish();
}

/** A whole number within bounds, or none. */
export function integer(
  min: number,
  what: string,
  max = Number.MAX_SAFE_INTEGER,
) {
  return z.number(what).int(what).min(min, what).max(max, what).nullish();
}

/** True, false or none. */
export const boolean = z.boolean("true or false").nullish();

/** A string or none. */
export const string = z.string("a string").nullish();

/** Text of so many characters, which are code points, as JSON Schema's are. */
export function text(minLength: number, maxLength: number, what: string) {
  return z.string(what).refine((text) => {
    // Not spread if it is too long anyway.
    const length = text.length > 2 * maxLength ? Infinity : [...text].length;
    return length >= minLength && length <= maxLength;
  }, what).meta({ minLength, maxLength });
}

/** Left out, or one of the few values that ask for nothing. */
export function only(allowed: unknown[], what: string) {
  return z.custom<unknown>(
    (value) =>
      value == null || allowed.some((one) => isDeepStrictEqual(one, value)),
    what,
  ).meta({ enum: [null, ...allowed] }).optional();
}

const MOST_KEYS = 16;
const METADATA =
  "an object of up to 16 strings, with keys of up to 64 characters and values of up to 512";

/** What clients attach to an object, for themselves. */
export const metadataSchema = z.record(
  text(0, 64, METADATA),
  text(0, 512, METADATA),
  METADATA,
).refine((metadata) => Object.keys(metadata).length <= MOST_KEYS, METADATA)
  .meta({ maxProperties: MOST_KEYS });
