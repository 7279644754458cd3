/** Texts that follow a grammar. @module */
export { type Constraint, GrammarError } from "./grammar_thread.ts";
export { GRAMMAR_LIMITS, type GrammarLimits, Grammars } from "./grammars.ts";
export { grammarVocabulary } from "./vocabulary.ts";
