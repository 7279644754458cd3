/**
 * The Web Worker of one grammar: it compiles it, and finds out which tokens may come next for each
 * text under way. Nothing that it does is bounded: whoever started it ends it if it takes too long.
 *
 * @module
 */
import type {
  CompiledGrammar,
  GrammarCompiler,
  GrammarMatcher,
} from "@mlc-ai/web-xgrammar";
import type { TokenMask } from "../sampling/token_mask.ts";
import type {
  GrammarAnswer,
  GrammarCommand,
  GrammarVocabulary,
} from "./protocol.ts";
import { xgrammar } from "./xgrammar.ts";

/** What a worker's global object has and a window's has otherwise. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<GrammarCommand>) => void) | null;
  postMessage(answer: GrammarAnswer): void;
}

// The module writes the grammar at fault to stderr: a client's words do not belong in the log.
console.error = () => {};

const matchers = new Map<number, GrammarMatcher>();
let compiler: GrammarCompiler | null = null;
let compiled: CompiledGrammar | null = null;

async function answer(command: GrammarCommand): Promise<TokenMask | null> {
  switch (command.type) {
    case "load":
      compiler = await load(command.vocabulary);
      return null;
    case "compile":
      compiled = await compiler!.compileGrammar(command.grammar);
      return null;
    case "open": {
      const { GrammarMatcher } = xgrammar;
      const matcher = await GrammarMatcher.createGrammarMatcher(compiled!);
      matchers.set(command.matcher, matcher);
      return await matcher.getNextTokenBitmask();
    }
    case "accept": {
      const matcher = matchers.get(command.matcher)!;
      if (!matcher.acceptToken(command.token)) {
        throw new Error(`Token ${command.token} cannot come here`);
      }
      return matcher.isTerminated()
        ? null
        : await matcher.getNextTokenBitmask();
    }
    case "close":
      matchers.get(command.matcher)?.dispose();
      matchers.delete(command.matcher);
      return null;
  }
}

async function load(
  { lines, size, endIds }: GrammarVocabulary,
): Promise<GrammarCompiler> {
  const info = await xgrammar.TokenizerInfo.createTokenizerInfo(
    lines.split("\n"),
    "byte_level",
    false,
    size,
    [...endIds],
  );
  return await xgrammar.GrammarCompiler.createGrammarCompiler(info, false);
}

const scope = self as unknown as WorkerScope;
let turn: Promise<void> = Promise.resolve();

scope.onmessage = ({ data }) => {
  turn = turn.then(async () => {
    try {
      scope.postMessage({ mask: await answer(data) });
    } catch (error) {
      scope.postMessage({ error: (error as Error).message });
    }
  });
};
