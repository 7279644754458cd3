/** A ring of rows as a graph sees it: in blocks. @module */
import type { GraphBuilder } from "../graph_builder.ts";

/** The keys or the values of a ring, as inputs of a graph. */
export interface Ring {
  readonly kvHeads: number;
  /** Query heads of a KV head. */
  readonly group: number;
  readonly headDim: number;
  /** By block: a tensor for each part of a row. */
  readonly blocks: readonly (readonly string[])[];
  /** Rows of each block: name of an int64 `[blocks]`. */
  readonly sizes: string;
}

/** Adds the node that divides what is given for all rows by block, if there are several. */
export function byBlock(
  graph: GraphBuilder,
  name: string,
  { all, ring }: { all: string; ring: Ring },
): string[] {
  if (ring.blocks.length === 1) return [all];
  const parts = ring.blocks.map((_, block) => `${name}.block${block}`);
  const inputs = [all, ring.sizes];
  graph.nodes("Split", parts, inputs, { attributes: { axis: -1 } });
  return parts;
}
