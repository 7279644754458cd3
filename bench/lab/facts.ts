/** Facts that no text knows: numbers that belong to names, and wrong ones to tell them from. @module */
import { createRandom, type Random } from "../../lib/sampling/random.ts";
import type { Tokenizer } from "../../lib/text/tokenizer.ts";

const NAMES = [
  "Anna",
  "Peter",
  "Maria",
  "John",
  "Alice",
  "Robert",
  "Helen",
  "Thomas",
  "Laura",
  "David",
  "Emma",
  "George",
  "Sarah",
  "Henry",
  "Julia",
  "Martin",
];
const DIGITS = 4;

/** One fact as tokens. */
export interface Fact {
  /** Up to the number, as the fact is told and as it is asked for. */
  readonly prompt: readonly number[];
  /** What belongs after the prompt. */
  readonly answer: readonly number[];
  /** After the answer, before the text goes on. */
  readonly tail: readonly number[];
  /** What might as well come after the prompt; no two candidates begin with the same digit. */
  readonly distractors: readonly (readonly number[])[];
}

/**
 * So many facts, the same for a seed.
 *
 * @throws {RangeError} if there are more distractors than other first digits
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { factTexts } from "./facts.ts";
 * const fact = factTexts(1, { distractors: 7 })[0]!;
 * assertEquals(fact.prompt, "\n\nThe secret number of Anna is");
 * assertEquals(fact.distractors.length, 7);
 * ```
 */
export function factTexts(
  count: number,
  { distractors, seed = 1 }: { distractors: number; seed?: number },
) {
  if (distractors > 8) {
    throw new RangeError(
      `Cannot give ${distractors} distractors: 8 others begin with another digit`,
    );
  }
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, i) => {
    const firsts = shuffled([1, 2, 3, 4, 5, 6, 7, 8, 9], random);
    const numbers = firsts.slice(0, distractors + 1).map((first) =>
      ` ${first}${digits(random)}`
    );
    return {
      prompt: `\n\nThe secret number of ${NAMES[i % NAMES.length]} is`,
      answer: numbers[0]!,
      tail: ".\n\n",
      distractors: numbers.slice(1),
    };
  });
}

/** The same as tokens. */
export function createFacts(
  tokenizer: Tokenizer,
  count: number,
  options: { distractors: number; seed?: number },
): Fact[] {
  return factTexts(count, options).map((fact) => ({
    prompt: tokenizer.encode(fact.prompt),
    answer: tokenizer.encode(fact.answer),
    tail: tokenizer.encode(fact.tail),
    distractors: fact.distractors.map((text) => tokenizer.encode(text)),
  }));
}

function digits(random: Random): string {
  return Array.from({ length: DIGITS - 1 }, () => Math.floor(random() * 10))
    .join("");
}

/** Fisher and Yates. */
function shuffled(values: number[], random: Random): number[] {
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [values[i], values[j]] = [values[j]!, values[i]!];
  }
  return values;
}
