/**
 * What a conversation's cache is made of, in numbers: which tensors a layer keeps, how many tokens
 * each holds and how many bytes that is. The allocator, admission, the API and the planner all use
 * {@linkcode conversationBytes}, so they cannot disagree.
 *
 * A run reads every column of a tensor. So that a short conversation does not pay for a long window,
 * the window's ring is divided into blocks, each a tensor of its own, and a run leaves out those that
 * hold nothing yet.
 *
 * @module
 */
import type { KvBits } from "./cache_format.ts";
import type { RowCodec } from "./row_codec.ts";

/** What the elements of a tensor are; `float16` on a GPU alone. */
export type RowType = "float32" | "float16" | "int16" | "int8";

/** Bytes of one element. */
export const ROW_TYPE_BYTES: Readonly<Record<RowType, number>> = {
  float32: 4,
  float16: 2,
  int16: 2,
  int8: 1,
};

/**
 * One tensor of a layer's cache, as the attention kind declares it: `[heads, tokens, width]`, or
 * `[heads, width, tokens]` where a product's kernel wants columns.
 */
export interface CacheTensor {
  /** Name; the graph's input for layer `l` is `${name}_${l}`. */
  readonly name: string;
  /** The graph output that new rows come from, `[batch, Σ heads, chunk, width]` over all layers that have it. */
  readonly rows: string;
  readonly type: RowType;
  readonly heads: number;
  readonly width: number;
  /** Whether a token is a row of it, not a column. */
  readonly byRow: boolean;
  /** Whether it holds the sinks, before all others. */
  readonly sinks: boolean;
  /** Whether it holds the tail, behind the sinks. */
  readonly tail: boolean;
  /** Which block of the window's ring it holds; `null` for none. */
  readonly block: number | null;
  /** Which part it is of what rows of `rowWidth` are encoded as; without it, rows are kept as they are. */
  readonly encoded?: {
    readonly codec: RowCodec;
    readonly part: number;
    readonly rowWidth: number;
  };
}

/** How many tokens a slot has room for. */
export interface SlotLayout {
  /** Rows for sinks; at least 1, so that no tensor is empty (a row without a sink is masked). */
  readonly sinkRows: number;
  /** Rows for the latest tokens, kept in f32 beside a ring whose rows are encoded; 0 for none. */
  readonly tailRows: number;
  /** Rows of each block of the window's ring; those at the end may have none. */
  readonly blocks: readonly number[];
}

/** Rings of up to this many rows are one block: a second one costs more than reading them whole. */
const ONE_BLOCK = 512;

/** Likewise for rows of 8 bits, which are read in less time and whose blocks cost more. */
const ONE_BLOCK_OF_8_BITS = 2_048;

/** Blocks that a ring of `rows` rows is divided into: each but the first has 3 times what lies before it. */
export function blockCount(rows: number, kvBits: KvBits = 32): number {
  let count = 1;
  const one = kvBits === 8 ? ONE_BLOCK_OF_8_BITS : ONE_BLOCK;
  for (let whole = one; whole < rows; whole *= 4) count++;
  return count;
}

/**
 * The layout of a slot.
 *
 * @param options.blocks blocks of the graph; a short window leaves some without rows
 * @param options.tailRows rows of the tail; default none
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { slotLayout } from "./layout.ts";
 * const tailRows = 0;
 * assertEquals(slotLayout(4, 1020, { blocks: 2 }), { sinkRows: 4, tailRows, blocks: [255, 765] });
 * assertEquals(slotLayout(0, 508, { blocks: 2 }), { sinkRows: 1, tailRows, blocks: [508, 0] });
 * ```
 */
export function slotLayout(
  sinks: number,
  window: number,
  { blocks = blockCount(window), tailRows = 0 }: {
    blocks?: number;
    tailRows?: number;
  } = {},
): SlotLayout {
  const rows = Array<number>(blocks).fill(0);
  let whole = window;
  for (let i = Math.min(blocks, blockCount(window)) - 1; i >= 0; i--) {
    const before = i === 0 ? 0 : Math.ceil(whole / 4);
    rows[i] = whole - before;
    whole = before;
  }
  return { sinkRows: Math.max(1, sinks), tailRows, blocks: rows };
}

/** Rows of the whole ring. */
export function windowRows({ blocks }: Pick<SlotLayout, "blocks">): number {
  return blocks.reduce((sum, rows) => sum + rows, 0);
}

/**
 * What a run has to see of a layout whose ring has `rows` rows in use: of blocks behind those just one
 * row, which is hidden (operators do not take tensors without any).
 */
export function usedLayout(layout: SlotLayout, rows: number): SlotLayout {
  let start = 0;
  const blocks = layout.blocks.map((block, i) => {
    const used = i === 0 || (start < rows && block > 0) ? block : 1;
    start += block;
    return used;
  });
  return { ...layout, blocks };
}

/** The layout that has room for one token, in the ring. */
export function oneRow({ blocks }: SlotLayout): SlotLayout {
  return {
    sinkRows: 0,
    tailRows: 0,
    blocks: blocks.map((_, block) => block === 0 ? 1 : 0),
  };
}

/** Tokens that one tensor holds. */
export function tensorTokens(tensor: CacheTensor, layout: SlotLayout): number {
  const { sinks, tail, block } = tensor;
  return (sinks ? layout.sinkRows : 0) + (tail ? layout.tailRows : 0) +
    (block === null ? 0 : layout.blocks[block]!);
}

/** Dimensions of a tensor: `[heads, tokens, width]` by row, otherwise `[heads, width, tokens]`. */
export function tensorDims<Size extends number | string>(
  { heads, width, byRow }: CacheTensor,
  tokens: Size,
): [number, Size | number, Size | number] {
  return byRow ? [heads, tokens, width] : [heads, width, tokens];
}

/** Elements of one tensor of one layer of one slot. */
export function tensorElements(
  tensor: CacheTensor,
  layout: SlotLayout,
): number {
  return tensor.heads * tensor.width * tensorTokens(tensor, layout);
}

/** Bytes of one tensor of one slot. */
export function tensorBytes(tensor: CacheTensor, layout: SlotLayout): number {
  return tensorElements(tensor, layout) * ROW_TYPE_BYTES[tensor.type];
}

/** One layer's part of a cache. */
export interface LayerCache {
  readonly tensors: readonly CacheTensor[];
  readonly layout: SlotLayout;
}

/** The cache of a model whose layers all keep as many tokens. */
export function layerCaches(
  { shape: { layers }, attention }: {
    shape: { layers: number };
    attention: { tensors(layer: number): readonly CacheTensor[] };
  },
  layout: SlotLayout,
): LayerCache[] {
  return Array.from(
    { length: layers },
    (_, layer) => ({ tensors: attention.tensors(layer), layout }),
  );
}

/**
 * Bytes that one conversation's cache takes, from its first token to its last.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { conversationBytes } from "./layout.ts";
 * // SmolLM2-135M: 30 layers, 3 KV heads of 64: 45 KiB a token in f32.
 * const row = { type: "float32", heads: 3, width: 64, byRow: true, sinks: true, tail: false, block: 0 } as const;
 * const tensors = ["k", "v"].map((name) => ({ ...row, name, rows: name }));
 * const layer = { tensors, layout: { sinkRows: 4, tailRows: 0, blocks: [1020] } };
 * assertEquals(conversationBytes(Array(30).fill(layer)), 1024 * 45 * 1024);
 * ```
 */
export function conversationBytes(layers: readonly LayerCache[]): number {
  let bytes = 0;
  for (const { tensors, layout } of layers) {
    for (const tensor of tensors) bytes += tensorBytes(tensor, layout);
  }
  return bytes;
}
