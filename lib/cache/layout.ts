/**
 * What a conversation's cache is made of, in numbers: which tensors a layer keeps, how many tokens
 * each holds and how many bytes that is. The allocator, admission, the API and the planner all use
 * {@linkcode conversationBytes}, so they cannot disagree.
 *
 * @module
 */

/**
 * One tensor of a layer's cache, as the attention kind declares it: `[heads, width, tokens]`. A
 * token is a column, so that a product with a query or with weights reads memory in order.
 */
export interface CacheTensor {
  /** Name; the graph's input for layer `l` is `${name}_${l}`. */
  readonly name: string;
  /** The graph output that new rows come from, `[batch, layers × heads, chunk, width]`. */
  readonly rows: string;
  readonly heads: number;
  readonly width: number;
  /** Which tokens it holds: `all` has the sinks first, then the window. */
  readonly holds: "sinks" | "window" | "all";
}

/** How many tokens a slot has room for. */
export interface SlotLayout {
  /** Rows for sinks; at least 1, so that no tensor is empty (a row without a sink is masked). */
  readonly sinkRows: number;
  /** Rows of the window's ring. */
  readonly windowRows: number;
}

/** Tokens that one tensor holds. */
export function tensorTokens(tensor: CacheTensor, layout: SlotLayout): number {
  switch (tensor.holds) {
    case "sinks":
      return layout.sinkRows;
    case "window":
      return layout.windowRows;
    case "all":
      return layout.sinkRows + layout.windowRows;
  }
}

/** Elements of one tensor of one layer of one slot. */
export function tensorElements(
  tensor: CacheTensor,
  layout: SlotLayout,
): number {
  return tensor.heads * tensor.width * tensorTokens(tensor, layout);
}

/**
 * Bytes that one conversation's cache takes, from its first token to its last.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { conversationBytes } from "./layout.ts";
 * // SmolLM2-135M: 30 layers, 3 KV heads of 64: 45 KiB a token in f32.
 * const row = { rows: "k", heads: 3, width: 64, holds: "all" } as const;
 * const tensors = [{ name: "k", ...row }, { name: "v", ...row }];
 * assertEquals(
 *   conversationBytes({ layers: 30, tensors, bytesPerElement: 4 }, { sinkRows: 4, windowRows: 1020 }),
 *   1024 * 45 * 1024,
 * );
 * ```
 */
export function conversationBytes(
  cache: {
    layers: number;
    tensors: readonly CacheTensor[];
    bytesPerElement: number;
  },
  layout: SlotLayout,
): number {
  let elements = 0;
  for (const tensor of cache.tensors) {
    elements += tensorElements(tensor, layout);
  }
  return cache.layers * elements * cache.bytesPerElement;
}
