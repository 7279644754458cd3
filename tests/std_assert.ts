/**
 * The functions of `@std/assert` that the tests use, over `node:assert`.
 *
 * `@std/*` lives on JSR, which is not reachable everywhere this project is built. `deno.json` maps
 * `@std/assert` here; pointing that one line at `jsr:@std/assert` switches to the real one.
 *
 * @module
 */
import assertModule from "node:assert/strict";

/** Throws unless `condition` is truthy. */
export function assert(
  condition: unknown,
  message?: string,
): asserts condition {
  assertModule.ok(condition, message);
}

/** Throws unless `actual` and `expected` are deeply equal. */
export function assertEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  assertModule.deepStrictEqual(actual, expected, message);
}

/** Throws if `actual` and `expected` are deeply equal. */
export function assertNotEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  assertModule.notDeepStrictEqual(actual, expected, message);
}

/** Throws unless `actual` is `expected` by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): void {
  assertModule.ok(
    Object.is(actual, expected),
    message ?? `${actual} is not ${expected}`,
  );
}

/** Throws unless `|actual - expected| <= tolerance` (default: 1e-7 of `expected`). */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  message?: string,
): void {
  const bound = tolerance ??
    (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const close = Object.is(actual, expected) ||
    Math.abs(actual - expected) <= bound;
  assertModule.ok(
    close,
    message ?? `${actual} is not within ${bound} of ${expected}`,
  );
}

/** Throws unless `actual` contains `expected`. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  message?: string,
): void {
  assertModule.ok(
    actual.includes(expected),
    message ??
      `${JSON.stringify(actual)} does not include ${JSON.stringify(expected)}`,
  );
}

/** Throws unless `actual` matches `expected`. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  message?: string,
): void {
  assertModule.match(actual, expected, message);
}

/** Throws unless `actual` is neither `null` nor `undefined`. */
export function assertExists<T>(
  actual: T,
  message?: string,
): asserts actual is NonNullable<T> {
  assertModule.ok(
    actual !== undefined && actual !== null,
    message ?? "value does not exist",
  );
}

type ErrorClass = new (...args: never[]) => Error;

function checkError(
  error: unknown,
  errorClass?: ErrorClass,
  includes?: string,
): Error {
  if (!(error instanceof Error)) {
    assertModule.fail(`thrown value is no Error: ${error}`);
  }
  if (errorClass && !((error as unknown) instanceof errorClass)) {
    assertModule.fail(
      `expected ${errorClass.name}, got ${error.name}: ${error.message}`,
    );
  }
  if (includes !== undefined) assertStringIncludes(error.message, includes);
  return error;
}

/** Throws unless `fn` throws an error of `errorClass` whose message includes `includes`; returns it. */
export function assertThrows(
  fn: () => unknown,
  errorClass?: ErrorClass,
  includes?: string,
): Error {
  let thrown: unknown;
  try {
    fn();
  } catch (error) {
    thrown = error;
  }
  if (thrown === undefined) assertModule.fail("expected the function to throw");
  return checkError(thrown, errorClass, includes);
}

/** As {@linkcode assertThrows} for a promise. */
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass,
  includes?: string,
): Promise<Error> {
  let thrown: unknown;
  try {
    await fn();
  } catch (error) {
    thrown = error;
  }
  if (thrown === undefined) {
    assertModule.fail("expected the promise to be rejected");
  }
  return checkError(thrown, errorClass, includes);
}
