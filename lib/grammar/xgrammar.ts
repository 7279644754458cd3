/**
 * XGrammar's WebAssembly module, which needs a worker: its package is written for browsers, where
 * it leaves its exports on the global object, and it looks for itself at `location`.
 *
 * @module
 */
import "@mlc-ai/web-xgrammar";

/** The package. */
export const xgrammar: typeof import("@mlc-ai/web-xgrammar") =
  (globalThis as unknown as {
    xgrammar: typeof import("@mlc-ai/web-xgrammar");
  }).xgrammar;
