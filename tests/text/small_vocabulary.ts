/**
 * A small vocabulary for tests without a model: all bytes, some merges, some control tokens and one
 * user-defined token.
 *
 * @module
 */
import { BYTE_CHARACTERS } from "../../lib/text/byte_alphabet.ts";
import { TokenType, type Vocabulary } from "../../lib/text/vocabulary.ts";

/** Control tokens of {@linkcode smallVocabulary}; the id is the index. */
export const CONTROLS = [
  "<|endoftext|>",
  "<|im_start|>",
  "<|im_end|>",
  "<|tool|>",
  "[#]",
];

const MERGES = [
  "Ġ t",
  "h e",
  "Ġt he",
  "l l",
  "e ll",
  "h ell",
  "hell o",
  "Ġ Ġ",
  "u s",
  "us er",
];

/** The vocabulary; `changes` replaces some of its parts. */
export function smallVocabulary(changes: Partial<Vocabulary> = {}): Vocabulary {
  const merges = ["e r", ...MERGES];
  const normal = [
    ...BYTE_CHARACTERS,
    ...merges.map((merge) => merge.replace(" ", "")),
  ];
  return {
    model: "gpt2",
    pre: "smollm",
    tokens: [...CONTROLS, ...normal, "<think>"],
    tokenTypes: [
      ...CONTROLS.map(() => TokenType.control),
      ...normal.map(() => TokenType.normal),
      TokenType.userDefined,
    ],
    merges,
    bos: 1,
    eos: 2,
    unknown: 0,
    addBos: false,
    addSpacePrefix: false,
    ...changes,
  };
}
