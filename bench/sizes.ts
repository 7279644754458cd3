/** How much is measured. @module */

/** Sizes of all measurements but the stream's length, which the command line says. */
export interface Sizes {
  readonly held: readonly number[];
  readonly prefillRounds: number;
  readonly decode: { readonly tokens: number; readonly rounds: number };
  readonly cached: {
    readonly prompt: number;
    readonly tokens: number;
    readonly rounds: number;
  };
  readonly recompute: {
    readonly held: readonly number[];
    readonly tokens: number;
    readonly rounds: number;
  };
  readonly stream: { readonly every: number; readonly warmup: number };
  readonly streams: {
    /** Numbers of conversations, unless the command line says others. */
    readonly counts: readonly number[];
    /** Tokens that each decodes a round. */
    readonly tokens: number;
    /** Tokens of the prompt whose first token is waited for. */
    readonly prompt: number;
    readonly rounds: number;
  };
  readonly bits: {
    /** Numbers of conversations side by side. */
    readonly counts: readonly number[];
    readonly tokens: number;
    readonly rounds: number;
  };
  readonly mixed: {
    readonly streams: number;
    readonly held: number;
    /** Tokens that each decodes before the prompt comes. */
    readonly tokens: number;
    readonly prompt: number;
    readonly rounds: number;
  };
  readonly klTokens: number;
  readonly peerTurns: number;
}

/** Sizes whose figures mean something. */
export const FULL: Sizes = {
  held: [512, 2048],
  prefillRounds: 5,
  decode: { tokens: 48, rounds: 7 },
  cached: { prompt: 16, tokens: 256, rounds: 3 },
  recompute: { held: [256, 1024], tokens: 16, rounds: 5 },
  stream: { every: 1000, warmup: 2000 },
  streams: { counts: [1, 2, 4, 8], tokens: 48, prompt: 128, rounds: 7 },
  bits: { counts: [1, 8], tokens: 32, rounds: 7 },
  mixed: { streams: 4, held: 512, tokens: 48, prompt: 4000, rounds: 3 },
  klTokens: 512,
  peerTurns: 3,
};

/** Sizes that only show that all works. */
export const QUICK: Sizes = {
  held: [128],
  prefillRounds: 3,
  decode: { tokens: 8, rounds: 3 },
  cached: { prompt: 16, tokens: 16, rounds: 1 },
  recompute: { held: [128], tokens: 8, rounds: 3 },
  stream: { every: 100, warmup: 200 },
  streams: { counts: [1, 2], tokens: 8, prompt: 32, rounds: 2 },
  bits: { counts: [1, 2], tokens: 8, rounds: 2 },
  mixed: { streams: 4, held: 64, tokens: 8, prompt: 400, rounds: 1 },
  klTokens: 128,
  peerTurns: 1,
};
