/** A tokenizer's tokens, as grammars need them. @module */
import { BYTE_CHARACTERS } from "../text/byte_alphabet.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { GrammarVocabulary } from "./protocol.ts";

/** The tokens of a model with `size` logits. */
export function grammarVocabulary(
  tokenizer: Tokenizer,
  size: number,
): GrammarVocabulary {
  const lines = Array.from({ length: tokenizer.size }, (_, id) => {
    let line = "";
    for (const byte of tokenizer.bytes(id)) line += BYTE_CHARACTERS[byte];
    return line;
  });
  return { lines: lines.join("\n"), size, endIds: [...tokenizer.endIds] };
}
