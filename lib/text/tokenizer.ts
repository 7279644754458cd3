/**
 * Text to token ids and back. The merging is `@huggingface/tokenizers`'; this file builds its
 * tokenizer from a GGUF vocabulary and keeps control tokens apart from text: what a user typed can
 * never become one, because only {@linkcode Tokenizer.encodePieces} can make them, from ids.
 *
 * @module
 */
import { Tokenizer as BytePairEncoder } from "@huggingface/tokenizers";
import { bytesOfToken } from "./byte_alphabet.ts";
import { preTokenizer, textParts } from "./pre_tokenizers.ts";
import { TokenType, type Vocabulary } from "./vocabulary.ts";

/** Part of a prompt: plain text, or one control token. */
export type Piece = { text: string } | { special: number };

/** Text to token ids and back. */
export interface Tokenizer {
  /** How many tokens there are. */
  readonly size: number;
  /**
   * Ids of plain text; text that looks like a control token stays plain text. As in llama.cpp,
   * bytes for which the vocabulary has no token are left out (SmolLM2's lacks six of the ASCII
   * control characters).
   */
  encode(text: string): number[];
  /**
   * Ids of a prompt; text pieces side by side are joined first.
   *
   * @throws {RangeError} if a piece's `special` is no token.
   */
  encodePieces(pieces: readonly Piece[]): number[];
  /**
   * The same ids in parts, each of which takes a few milliseconds: a long prompt need not keep its
   * thread to itself.
   *
   * @throws {RangeError} if a piece's `special` is no token.
   */
  encodeParts(pieces: readonly Piece[]): Iterable<number[]>;
  /**
   * UTF-8 bytes of a token, not always whole characters; empty for control tokens. Don't modify.
   *
   * @throws {RangeError} if there is no such token.
   */
  bytes(id: number): Uint8Array;
  /** Whether the token is one that text never becomes. */
  isControl(id: number): boolean;
  /** The control token whose text this is. */
  control(text: string): number | undefined;
  /** Texts of all control tokens, in the order of their ids. */
  readonly controlTexts: readonly string[];
  /**
   * Tokens that end an answer: the vocabulary's `eos`, which comes first, and `<|im_end|>`,
   * `<|endoftext|>`, `<|eot_id|>`, `<end_of_turn>` and the like.
   */
  readonly endIds: ReadonlySet<number>;
  /** The token that begins a text. */
  readonly bos: number | undefined;
  /** Whether the model expects that token before each text. */
  readonly addsBos: boolean;
}

/** Texts that end an answer in one model or another; no user may type them as tokens. */
const END_TEXTS: ReadonlySet<string> = new Set([
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|eot|>",
  "<|end|>",
  "<end_of_turn>",
  "<end_of_utterance>",
  "<|END_OF_TURN_TOKEN|>",
]);

/**
 * Builds the tokenizer of a vocabulary.
 *
 * @throws {RangeError} if the vocabulary's model or pre-tokenizer is unknown, or a merge names
 * tokens that it does not have.
 *
 * @example
 * ```ts
 * import { createTokenizer } from "./tokenizer.ts";
 *
 * const tokenizer = createTokenizer({
 *   model: "gpt2",
 *   pre: "smollm",
 *   tokens: ["<|im_end|>", "a", "b", "ab"],
 *   tokenTypes: [3, 1, 1, 1],
 *   merges: ["a b"],
 *   addBos: false,
 *   addSpacePrefix: false,
 * });
 * const ids = tokenizer.encodePieces([{ text: "aba" }, { special: 0 }]);
 * if (ids.join() !== "3,1,0") throw new Error("unreachable");
 * ```
 */
export function createTokenizer(vocabulary: Vocabulary): Tokenizer {
  if (vocabulary.model !== "gpt2") {
    throw new RangeError(
      `Cannot tokenize by tokenizer.ggml.model ${
        JSON.stringify(vocabulary.model.slice(0, 40))
      }: ` +
        "known is gpt2",
    );
  }
  return new BpeTokenizer(vocabulary);
}

class BpeTokenizer implements Tokenizer {
  readonly size: number;
  readonly controlTexts: readonly string[];
  readonly endIds: ReadonlySet<number>;
  readonly bos: number | undefined;
  readonly addsBos: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #encoder: BytePairEncoder;
  /** Control tokens by text. */
  readonly #controls: ReadonlyMap<string, number>;
  readonly #controlIds: ReadonlySet<number>;
  /** Whether no user-defined token reaches over a space between letters. */
  readonly #divisible: boolean;
  /** Decoded on first use: few of the tokens ever are. */
  readonly #bytes: (Uint8Array | undefined)[];

  constructor(vocabulary: Vocabulary) {
    this.size = vocabulary.tokens.length;
    this.#vocabulary = vocabulary;
    this.#controlIds = findControlIds(vocabulary);
    this.#controls = textsOf(this.#controlIds, vocabulary);
    this.controlTexts = [...this.#controls.keys()];
    this.endIds = findEndIds(vocabulary, this.#controls);
    this.bos = vocabulary.bos;
    this.addsBos = vocabulary.addBos && vocabulary.bos !== undefined;
    this.#encoder = createEncoder(vocabulary, this.#controls);
    this.#divisible = !vocabulary.tokens.some((text, id) =>
      vocabulary.tokenTypes[id] === TokenType.userDefined &&
      /\p{L} \p{L}/u.test(text)
    );
    this.#bytes = new Array(this.size);
  }

  encode(text: string): number[] {
    if (text === "") return [];
    return this.#encoder.encode(text.toWellFormed(), {
      add_special_tokens: false,
    }).ids;
  }

  encodePieces(pieces: readonly Piece[]): number[] {
    return [...this.encodeParts(pieces)].flat();
  }

  *encodeParts(pieces: readonly Piece[]): Generator<number[]> {
    let text = "";
    for (const piece of pieces) {
      if ("text" in piece) {
        text += piece.text;
      } else {
        this.#check(piece.special);
        yield* this.#encodeText(text);
        yield [piece.special];
        text = "";
      }
    }
    yield* this.#encodeText(text);
  }

  *#encodeText(text: string): Generator<number[]> {
    for (const part of this.#divisible ? textParts(text) : [text]) {
      yield this.encode(part);
    }
  }

  bytes(id: number): Uint8Array {
    this.#check(id);
    return this.#bytes[id] ??= this.#decode(id);
  }

  isControl(id: number): boolean {
    return this.#controlIds.has(id);
  }

  control(text: string): number | undefined {
    return this.#controls.get(text);
  }

  #decode(id: number): Uint8Array {
    const type = this.#vocabulary.tokenTypes[id];
    const text = this.#vocabulary.tokens[id] ?? "";
    if (this.#controlIds.has(id) || type === TokenType.unused) {
      return new Uint8Array();
    }
    return type === TokenType.userDefined
      ? new TextEncoder().encode(text)
      : bytesOfToken(text);
  }

  #check(id: number): void {
    if (Number.isInteger(id) && id >= 0 && id < this.size) return;
    throw new RangeError(`Cannot use ${id} as a token of ${this.size}`);
  }
}

/**
 * The tokens that text must not become. Converters mark some of them as normal or user-defined
 * tokens by mistake, hence the texts, `bos` and `eos` whatever their types.
 */
function findControlIds(vocabulary: Vocabulary): ReadonlySet<number> {
  const ids = new Set<number>();
  vocabulary.tokens.forEach((text, id) => {
    const type = vocabulary.tokenTypes[id];
    const control = type === TokenType.control || type === TokenType.unknown ||
      id === vocabulary.bos || id === vocabulary.eos || END_TEXTS.has(text);
    if (control) ids.add(id);
  });
  return ids;
}

function textsOf(
  ids: ReadonlySet<number>,
  vocabulary: Vocabulary,
): ReadonlyMap<string, number> {
  const texts = new Map<string, number>();
  for (const id of ids) {
    const text = vocabulary.tokens[id];
    if (text) texts.set(text, id);
  }
  return texts;
}

function findEndIds(
  vocabulary: Vocabulary,
  controls: ReadonlyMap<string, number>,
): ReadonlySet<number> {
  const ids = new Set<number>();
  if (vocabulary.eos !== undefined) ids.add(vocabulary.eos);
  for (const [text, id] of controls) if (END_TEXTS.has(text)) ids.add(id);
  return ids;
}

/** The encoder knows no control token, so no text and no merge can become one. */
function createEncoder(
  vocabulary: Vocabulary,
  controls: ReadonlyMap<string, number>,
): BytePairEncoder {
  const { patterns, ignoreMerges } = preTokenizer(vocabulary.pre);
  const ids = new Map(vocabulary.tokens.map((text, id) => [text, id]));
  const merges = readMerges(vocabulary.merges, ids, controls);
  const userDefined = vocabulary.tokens.flatMap((content, id) => {
    const plain = vocabulary.tokenTypes[id] === TokenType.userDefined &&
      content !== "" &&
      !controls.has(content);
    return plain ? [{ id, content, special: false, normalized: false }] : [];
  });
  for (const text of controls.keys()) ids.delete(text);
  const splits = patterns.map((pattern) => (
    {
      type: "Split",
      pattern: { Regex: pattern },
      behavior: "Isolated",
      invert: false,
    }
  ));
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    use_regex: false,
  };
  return new BytePairEncoder({
    added_tokens: userDefined,
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...splits, byteLevel] },
    post_processor: null,
    decoder: null,
    model: {
      type: "BPE",
      vocab: Object.fromEntries(ids),
      merges,
      ignore_merges: ignoreMerges,
      unk_token: null,
    },
  }, {});
}

/** Merges as pairs, in the order of their ranks, without those that would make a control token. */
function readMerges(
  merges: readonly string[],
  ids: ReadonlyMap<string, number>,
  controls: ReadonlyMap<string, number>,
): [string, string][] {
  return merges.map((merge, rank): [string, string] => {
    const space = merge.indexOf(" ");
    const left = merge.slice(0, space);
    const right = merge.slice(space + 1);
    if (ids.has(left) && ids.has(right) && ids.has(left + right)) {
      return [left, right];
    }
    throw new RangeError(
      `Cannot use tokenizer.ggml.merges[${rank}]: ${
        JSON.stringify(merge.slice(0, 80))
      } names ` +
        "tokens that tokenizer.ggml.tokens does not have",
    );
  }).filter(([left, right]) => !controls.has(left + right));
}
