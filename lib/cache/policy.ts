/**
 * Which tokens a conversation keeps and how, by the names that operators and clients use: numbers and
 * words, no tensors. All of today's policies are a {@linkcode SinkWindow}, one of them rebuilt, one
 * smaller in some layers. What leaves first and how rows are kept goes with each of them.
 *
 * @module
 */
import type { CacheFormat, KvBits } from "./cache_format.ts";
import { RecomputedWindow } from "./recomputed_window.ts";
import { SinkWindow } from "./sink_window.ts";

/**
 * - `full` keeps all tokens, and takes no more than fit;
 * - `window` keeps the latest W;
 * - `sink-window` keeps the first S, too (StreamingLLM, arXiv 2309.17453);
 * - `window-recompute` keeps the latest W and computes all of them anew for each token: a baseline to
 *   compare with, as slow as a prompt of W tokens for one;
 * - `simplayer` is `sink-window` in most layers, and keeps S and the latest quarter of W in those that
 *   turn out to be lazy (SimLayerKV, arXiv 2410.13846).
 */
export const POLICY_NAMES = [
  "full",
  "window",
  "sink-window",
  "window-recompute",
  "simplayer",
] as const;

/**
 * Those that cost no more than their cache says and share one memory: what requests may ask for unless
 * an operator decides.
 */
export const USUAL_POLICIES: readonly PolicyName[] = [
  "full",
  "window",
  "sink-window",
];

/** A policy's name. */
export type PolicyName = typeof POLICY_NAMES[number];

/**
 * What leaves first:
 *
 * - `token`: the oldest token of the window, one for each new one;
 * - `turn`: the oldest message of the window, as soon as not all of it is there, so that the chat
 *   template is never cut in the middle. What is left is fewer tokens, down to those of the latest
 *   message; one that is longer than the window leaves by tokens.
 */
export const EVICTIONS = ["token", "turn"] as const;

/** What leaves first. */
export type Eviction = typeof EVICTIONS[number];

/** A conversation's policy, fixed at its first token. */
export interface Policy {
  readonly name: PolicyName;
  readonly rows: SinkWindow;
  /** `token` for `full`, which evicts nothing. */
  readonly evict: Eviction;
  /** Bits of an element of its rows. */
  readonly kvBits: KvBits;
}

/** What is asked for; what is left out is the server's choice. */
export interface PolicyRequest {
  readonly policy?: PolicyName | undefined;
  /** S, for `sink-window` and `simplayer` alone. */
  readonly sinks?: number | undefined;
  /** W; for `full` the most tokens that it takes. */
  readonly window?: number | undefined;
  /** Not for `full`. */
  readonly evict?: Eviction | undefined;
  readonly kvBits?: KvBits | undefined;
}

/** What a server offers. */
export interface PolicyOffer {
  /** Taken where a request asks for none. */
  readonly standard: PolicyName;
  readonly allowed: readonly PolicyName[];
  /** Sinks and window where a request asks for none. */
  readonly sinks: number;
  readonly window: number;
  readonly evict: Eviction;
  /** How caches can be kept. Of those that a policy can have, the first is taken where a request asks for none. */
  readonly formats: readonly CacheFormat[];
  /** What a slot has room for. */
  readonly room: { readonly sinks: number; readonly window: number };
}

/** A policy that this server cannot give; `field` of the request, as clients spell it, is why. */
export class PolicyError extends RangeError {
  override name = "PolicyError";

  constructor(
    readonly field: "policy" | "sinks" | "window" | "evict" | "kv_bits",
    message: string,
  ) {
    super(message);
  }
}

/** Whether a policy keeps the first tokens for ever. */
export function hasSinks(name: PolicyName): boolean {
  return name === "sink-window" || name === "simplayer";
}

/** Whether a policy's layers keep different numbers of tokens. */
export function isLayered(name: PolicyName): boolean {
  return name === "simplayer";
}

/**
 * The policy that a request asks for.
 *
 * @throws {PolicyError} if it is not offered, or does not fit
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { choosePolicy } from "./policy.ts";
 * const room = { sinks: 4, window: 1020 };
 * const offer = {
 *   standard: "sink-window",
 *   allowed: ["window", "sink-window"],
 *   ...room,
 *   evict: "token",
 *   formats: [{ kvBits: 32, layered: false }, { kvBits: 8, layered: false }],
 *   room,
 * } as const;
 * const { rows, evict, kvBits } = choosePolicy({ window: 252, evict: "turn" }, offer);
 * assertEquals([rows.sinks, rows.window, rows.capacity, evict], [4, 252, 256, "turn"]);
 * assertEquals([kvBits, choosePolicy({ kvBits: 8 }, offer).kvBits], [32, 8]);
 * assertEquals(choosePolicy({ policy: "window" }, offer).rows.sinks, 0);
 * ```
 */
export function choosePolicy(
  request: PolicyRequest,
  { standard, allowed, sinks, window, evict, formats, room }: PolicyOffer,
): Policy {
  const name = request.policy ?? standard;
  if (!allowed.includes(name)) {
    throw new PolicyError(
      "policy",
      `This server does not offer policy "${name}", but ${allowed.join(", ")}`,
    );
  }
  if (request.sinks !== undefined && !hasSinks(name)) {
    throw new PolicyError(
      "sinks",
      `Policy "${name}" has no sinks: leave them out`,
    );
  }
  if (request.evict !== undefined && name === "full") {
    throw new PolicyError(
      "evict",
      `Policy "full" evicts nothing: leave evict out`,
    );
  }
  const kept = {
    sinks: hasSinks(name) ? request.sinks ?? sinks : 0,
    window: request.window ?? window,
  };
  if (kept.window > room.window || kept.window < 1) {
    throw new PolicyError(
      "window",
      `A window of ${kept.window} tokens is not to be had: this server's are 1 to ${room.window}`,
    );
  }
  if (kept.sinks > room.sinks) {
    throw new PolicyError(
      "sinks",
      `${kept.sinks} sinks are not to be had: this server keeps up to ${room.sinks}`,
    );
  }
  if (request.sinks !== undefined && kept.sinks > kept.window) {
    throw new PolicyError(
      "sinks",
      `${kept.sinks} sinks are more than half of what is kept: ask for at most ${kept.window}, the window`,
    );
  }
  return {
    name,
    rows: name === "window-recompute"
      ? new RecomputedWindow(kept.window)
      : new SinkWindow(kept.sinks, kept.window),
    evict: name === "full" ? "token" : request.evict ?? evict,
    kvBits: chooseBits(name, request.kvBits, formats),
  };
}

/** Bits that are asked for, or else the first that the policy can have. */
function chooseBits(
  name: PolicyName,
  asked: KvBits | undefined,
  formats: readonly CacheFormat[],
): KvBits {
  const offered = formats.filter(({ layered }) => layered === isLayered(name))
    .map(({ kvBits }) => kvBits);
  const bits = asked ?? offered[0];
  if (bits !== undefined && offered.includes(bits)) return bits;
  throw new PolicyError(
    "kv_bits",
    `This server does not keep policy "${name}" in rows of ${bits} bits (kv_bits), but of ` +
      (offered.join(", ") || "none"),
  );
}

/** The kind of cache that a policy needs. */
export function formatOf(
  { name, kvBits }: Pick<Policy, "name" | "kvBits">,
): CacheFormat {
  return { kvBits, layered: isLayered(name) };
}

/** The kinds of caches that a choice of policies and bits needs; the standard one first. */
export function offeredFormats(
  { standard, allowed }: Pick<PolicyOffer, "standard" | "allowed">,
  bits: readonly KvBits[],
): CacheFormat[] {
  const kinds = new Set([standard, ...allowed].map(isLayered));
  return [...kinds].flatMap((layered) =>
    bits.map((kvBits) => ({ kvBits, layered }))
  );
}

/** Whether two policies are the same. */
export function samePolicy(a: Policy, b: Policy): boolean {
  return a.name === b.name && a.evict === b.evict && a.kvBits === b.kvBits &&
    a.rows.sinks === b.rows.sinks && a.rows.window === b.rows.window;
}
