/** Numbers of bytes as people write and read them. @module */

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** What {@linkcode parseBytes} takes, for messages. */
export const BYTES_FORM = "a number of bytes, such as 500000000, 500MB or 1GiB";

/**
 * A number of bytes, with or without a unit; `undefined` if the text is none.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseBytes } from "./byte_size.ts";
 * assertEquals(parseBytes("384MiB"), 402_653_184);
 * assertEquals(parseBytes("much"), undefined);
 * ```
 */
export function parseBytes(text: string): number | undefined {
  const [, number, unit = "B"] = /^(\d+)(B|[kMG]B|[KMG]iB)?$/.exec(text) ?? [];
  const bytes = Number(number) * UNITS[unit]!;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/**
 * A number of bytes in the largest binary unit that leaves it at 1 or more, to four digits.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { formatBytes } from "./byte_size.ts";
 * assertEquals(formatBytes(46_080), "45 KiB");
 * assertEquals(formatBytes(62.5 * 2 ** 30), "62.5 GiB");
 * assertEquals(formatBytes(0), "0 B");
 * ```
 */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let power = 0;
  while (bytes >= 1024 ** (power + 1) && power < units.length - 1) power++;
  const value = Number((bytes / 1024 ** power).toPrecision(4));
  return `${value.toLocaleString("en-US")} ${units[power]}`;
}
