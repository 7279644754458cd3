/**
 * The tokenizer's part of a model file, read with checks: a file from elsewhere may hold anything,
 * and a wrong id or count found here costs a clear message, found later a wrong answer.
 *
 * @module
 */

/** The tokenizer's part of a GGUF file's metadata (keys `tokenizer.ggml.*`). */
export interface Vocabulary {
  /** Kind of tokenizer: `"gpt2"` is byte-level BPE. */
  model: string;
  /** How text is split before BPE, by llama.cpp's name: `"smollm"`, `"llama-bpe"`, … */
  pre: string;
  /** The tokens' texts by id; those of normal tokens in GPT-2's byte alphabet. */
  tokens: string[];
  /** One {@linkcode TokenType} for each token. */
  tokenTypes: number[];
  /** BPE merges by rank, each two tokens with a space between. */
  merges: string[];
  bos?: number;
  eos?: number;
  unknown?: number;
  /** Whether plain text is to be preceded by `bos`; chat templates write their own. */
  addBos: boolean;
  addSpacePrefix: boolean;
}

/** GGUF's token types (llama.cpp's `llama_token_type`). */
export const TokenType = {
  undefined: 0,
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** Most tokens or merges that a vocabulary may have; the largest known has about 260,000. */
const MAX_ENTRIES = 1 << 22;

/**
 * Reads the vocabulary from a GGUF file's metadata.
 *
 * @param lookup Gives the value of a metadata key; `undefined` where the file has none.
 * @throws {TypeError} if a value has the wrong type; the message names the key.
 * @throws {RangeError} if a length, id or token type is out of range.
 * @throws {SyntaxError} if a merge is not two tokens with a space between.
 *
 * @example Reading a vocabulary of two tokens
 * ```ts
 * import { readVocabulary } from "./vocabulary.ts";
 *
 * const metadata = new Map<string, unknown>([
 *   ["tokenizer.ggml.model", "gpt2"],
 *   ["tokenizer.ggml.pre", "smollm"],
 *   ["tokenizer.ggml.tokens", ["<|endoftext|>", "a", "b", "ab"]],
 *   ["tokenizer.ggml.token_type", [3, 1, 1, 1]],
 *   ["tokenizer.ggml.merges", ["a b"]],
 *   ["tokenizer.ggml.eos_token_id", 0],
 * ]);
 * const vocabulary = readVocabulary((key) => metadata.get(key));
 * if (vocabulary.tokens.length !== 4 || vocabulary.eos !== 0) throw new Error("unreachable");
 * ```
 */
export function readVocabulary(lookup: (key: string) => unknown): Vocabulary {
  const tokens = readStrings(lookup, "tokenizer.ggml.tokens");
  if (tokens.length === 0) {
    throw new RangeError("Cannot read tokenizer.ggml.tokens: it is empty");
  }
  const merges = readStrings(lookup, "tokenizer.ggml.merges");
  merges.forEach((merge, rank) => {
    const space = merge.indexOf(" ");
    if (
      space > 0 && space === merge.lastIndexOf(" ") && space < merge.length - 1
    ) return;
    throw new SyntaxError(
      `Cannot read tokenizer.ggml.merges[${rank}] as two tokens: current value is ${
        show(merge)
      }`,
    );
  });

  const bos = readId(lookup, "tokenizer.ggml.bos_token_id", tokens.length);
  const eos = readId(lookup, "tokenizer.ggml.eos_token_id", tokens.length);
  const unknown = readId(
    lookup,
    "tokenizer.ggml.unknown_token_id",
    tokens.length,
  );
  return {
    model: readString(lookup, "tokenizer.ggml.model"),
    pre: readString(lookup, "tokenizer.ggml.pre", "default"),
    tokens,
    tokenTypes: readTokenTypes(lookup, tokens.length),
    merges,
    ...(bos === undefined ? {} : { bos }),
    ...(eos === undefined ? {} : { eos }),
    ...(unknown === undefined ? {} : { unknown }),
    addBos: readBoolean(lookup, "tokenizer.ggml.add_bos_token"),
    addSpacePrefix: readBoolean(lookup, "tokenizer.ggml.add_space_prefix"),
  };
}

function readString(
  lookup: (key: string) => unknown,
  key: string,
  absent?: string,
): string {
  const value = lookup(key) ?? absent;
  if (typeof value !== "string") throw wrongType(key, "a string", value);
  return value;
}

function readBoolean(lookup: (key: string) => unknown, key: string): boolean {
  const value = lookup(key) ?? false;
  if (typeof value !== "boolean") throw wrongType(key, "a boolean", value);
  return value;
}

function readStrings(lookup: (key: string) => unknown, key: string): string[] {
  const value = lookup(key);
  if (!Array.isArray(value)) throw wrongType(key, "an array of strings", value);
  checkLength(key, value.length);
  const wrong = value.findIndex((entry) => typeof entry !== "string");
  if (wrong >= 0) throw wrongType(`${key}[${wrong}]`, "a string", value[wrong]);
  return value;
}

function readId(
  lookup: (key: string) => unknown,
  key: string,
  size: number,
): number | undefined {
  const value = lookup(key);
  if (value === undefined || value === null) return undefined;
  const id = toInteger(key, value);
  if (id < 0 || id >= size) {
    throw new RangeError(
      `Cannot read ${key} as a token of ${size}: current value is ${id}`,
    );
  }
  return id;
}

/** GGUF files may leave the types out; every token is a normal one then. */
function readTokenTypes(
  lookup: (key: string) => unknown,
  size: number,
): number[] {
  const key = "tokenizer.ggml.token_type";
  const value = lookup(key);
  if (value === undefined || value === null) {
    return new Array(size).fill(TokenType.normal);
  }
  if (!Array.isArray(value) && !isNumericArray(value)) {
    throw wrongType(key, "an array of integers", value);
  }
  if (value.length !== size) {
    throw new RangeError(
      `Cannot read ${key}: it has ${value.length} entries, tokenizer.ggml.tokens has ${size}`,
    );
  }
  return Array.from(value, (entry: unknown, id) => {
    const type = toInteger(`${key}[${id}]`, entry);
    if (type >= TokenType.undefined && type <= TokenType.byte) return type;
    throw new RangeError(
      `Cannot read ${key}[${id}] as a token type: current value is ${type}`,
    );
  });
}

function isNumericArray(value: unknown): value is ArrayLike<number> {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

function toInteger(key: string, value: unknown): number {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (!Number.isSafeInteger(number)) throw wrongType(key, "an integer", value);
  return number as number;
}

function checkLength(key: string, length: number): void {
  if (length <= MAX_ENTRIES) return;
  throw new RangeError(
    `Cannot read ${key}: ${length} entries are more than ${MAX_ENTRIES}`,
  );
}

function wrongType(key: string, wanted: string, value: unknown): TypeError {
  return new TypeError(
    `Cannot read ${key} as ${wanted}: current value is ${show(value)}`,
  );
}

/** A value as it may stand in a message: short, whatever the file holds. */
function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}
