/** How sample.wgsl's answer is read. @module */
import { type LogitSummary, SUMMARY_TOKENS } from "../lib/sampling/summary.ts";

/** Words before the candidates: the members of `Summary` in sample.wgsl. */
const HEADER = [
  "serial",
  "bad",
  "badBits",
  "rawMax",
  "rawSum",
  "max",
  "sum",
  "drawn",
  "drawnKey",
  "unused",
] as const;

/** Bytes of one row's answer. */
export const SUMMARY_BYTES: number = (HEADER.length + 2 * SUMMARY_TOKENS) * 4;

/** The key of -Infinity. */
const NEGATIVE_INFINITY = 0x007fffff;

/**
 * The summary in these words.
 *
 * @param options.kept how many candidates there are
 * @param options.serial what the answer has to bear
 * @throws {RangeError} if the logits are no distribution: one is NaN or +Infinity, or all are -Infinity.
 * @throws {Error} if the answer is to another call.
 */
export function readSummary(
  words: Uint32Array,
  { kept, temperature, serial }: {
    kept: number;
    temperature: number;
    serial: number;
  },
): LogitSummary {
  const numbers = new Float32Array(
    words.buffer,
    words.byteOffset,
    words.length,
  );
  const at = (name: (typeof HEADER)[number]) => HEADER.indexOf(name);
  const word = (name: (typeof HEADER)[number]) => words[at(name)]!;
  if (word("serial") !== serial) {
    throw new Error(
      "Cannot summarise logits: the device did not run the kernel",
    );
  }
  checkLogits(word("bad"), word("badBits"), word("max"));
  const max = logitOf(word("max"));
  return {
    ...sortedCandidates(words.subarray(HEADER.length), kept),
    temperedLogSum: max / temperature + Math.log(numbers[at("sum")]!),
    logSum: logitOf(word("rawMax")) + Math.log(numbers[at("rawSum")]!),
    drawn: { token: word("drawn"), logit: logitOf(word("drawnKey")) },
  };
}

function checkLogits(bad: number, bits: number, max: number): void {
  if (bad !== 0) {
    // A logit that became infinite by its changes was a number before.
    const name = (bits & 0x7fffffff) > 0x7f800000 ? "NaN" : "Infinity";
    throw new RangeError(
      `Cannot use logits as a distribution: token ${~bad >>> 0} has ${name}`,
    );
  }
  if (max <= NEGATIVE_INFINITY) {
    throw new RangeError(
      "Cannot use logits as a distribution: every token has -Infinity",
    );
  }
}

/** The largest first; of equals, the lowest id. */
function sortedCandidates(
  words: Uint32Array,
  kept: number,
): Pick<LogitSummary, "tokens" | "logits"> {
  const places = Array.from({ length: kept }, (_, i) => 2 * i)
    .sort((a, b) => words[b + 1]! - words[a + 1]! || words[a]! - words[b]!);
  return {
    tokens: Uint32Array.from(places, (place) => words[place]!),
    logits: Float32Array.from(places, (place) => logitOf(words[place + 1]!)),
  };
}

const bits = new Uint32Array(1);
const number = new Float32Array(bits.buffer);

/** The logit of a key: sample.wgsl's `bits_of`. */
function logitOf(key: number): number {
  bits[0] = key >>> 31 ? key ^ 0x80000000 : ~key;
  return number[0]!;
}
