/**
 * How text is cut into words before byte-pair encoding, by the name that a GGUF file gives
 * (`tokenizer.ggml.pre`). The patterns are those of llama.cpp's `llama-vocab.cpp`; `\s` is Unicode's
 * White_Space in all of them, as `@huggingface/tokenizers` rewrites it.
 *
 * @module
 */

/** What a pre-tokenizer's name stands for. */
export interface PreTokenizer {
  /** Each pattern cuts what the one before left, matches and gaps alike. */
  readonly patterns: readonly string[];
  /** Whether a word that is a token as it stands is taken without merging. */
  readonly ignoreMerges: boolean;
}

const GPT2 = String
  .raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const CONTRACTIONS =
  `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`;
const LLAMA3 = modern(String.raw`\p{N}{1,3}`);
const QWEN2 = modern(String.raw`\p{N}`);

/** The pattern that newer models share; they differ in how they cut numbers. */
function modern(numbers: string): string {
  return String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|${numbers}` +
    String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
}

const DIGITS_ALONE: PreTokenizer = {
  patterns: [String.raw`\p{N}`, GPT2],
  ignoreMerges: false,
};
const LLAMA3_WORDS: PreTokenizer = { patterns: [LLAMA3], ignoreMerges: true };

const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", {
    patterns: [
      String.raw`[\p{P}\$\+<=>\^~\|]+`,
      GPT2,
      String.raw`\p{N}+`,
      "[0-9][0-9][0-9]",
    ],
    ignoreMerges: false,
  }],
  ["gpt-2", { patterns: [GPT2], ignoreMerges: false }],
  ["llama-bpe", LLAMA3_WORDS],
  ["llama-v3", LLAMA3_WORDS],
  ["llama3", LLAMA3_WORDS],
  ["qwen2", { patterns: [QWEN2], ignoreMerges: false }],
  ["smollm", DIGITS_ALONE],
  ["starcoder", DIGITS_ALONE],
]);

/**
 * The pre-tokenizer of that name.
 *
 * @throws {RangeError} if there is none; the message lists the known ones.
 *
 * @example SmolLM takes each digit alone
 * ```ts
 * import { preTokenizer } from "./pre_tokenizers.ts";
 *
 * if (preTokenizer("smollm").patterns[0] !== "\\p{N}") throw new Error("unreachable");
 * ```
 */
export function preTokenizer(pre: string): PreTokenizer {
  const found = PRE_TOKENIZERS.get(pre);
  if (found) return found;
  throw new RangeError(
    `Cannot split text for tokenizer.ggml.pre ${
      JSON.stringify(pre.slice(0, 40))
    }: known are ` +
      [...PRE_TOKENIZERS.keys()].join(", "),
  );
}

/** UTF-16 units after which text is cut at the next chance: some milliseconds of encoding. */
const PART = 4096;

/**
 * Cuts text where every pre-tokenizer does: before a space that stands between two letters.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { textParts } from "./pre_tokenizers.ts";
 * const text = "a ".repeat(5000);
 * assertEquals([...textParts(text)].map((part) => part.length), [4097, 4096, 1807]);
 * ```
 */
export function* textParts(text: string): Generator<string> {
  const cut = /(?<=\p{L}) (?=\p{L})/gu;
  let start = 0;
  while (text.length - start > PART) {
    cut.lastIndex = start + PART;
    const match = cut.exec(text);
    if (!match) break;
    yield text.slice(start, match.index);
    start = match.index;
  }
  yield text.slice(start);
}
