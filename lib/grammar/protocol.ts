/** What a grammar's thread is asked, and answers: one answer to each, in order. @module */
import type { TokenMask } from "../sampling/token_mask.ts";

/** The tokens that a grammar's texts are made of. */
export interface GrammarVocabulary {
  /** Tokens' bytes in GPT-2's byte alphabet, one a line in the order of ids; empty for control tokens. */
  readonly lines: string;
  /** How many logits there are; at least as many as lines. */
  readonly size: number;
  /** Tokens that may come where a text may end. */
  readonly endIds: readonly number[];
}

/** What is asked; `matcher` is the asker's number for one. */
export type GrammarCommand =
  | { type: "load"; vocabulary: GrammarVocabulary }
  /** Only once. */
  | { type: "compile"; grammar: string }
  | { type: "open"; matcher: number }
  | { type: "accept"; matcher: number; token: number }
  | { type: "close"; matcher: number };

/** What is answered: to `open` and `accept` the mask of what may come next, else `null`. */
export type GrammarAnswer = { mask: TokenMask | null } | { error: string };
