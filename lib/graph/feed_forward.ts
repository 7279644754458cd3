/** The gated feed-forward network, down(silu(gate(x)) · up(x)), written into the graph. @module */
import { float, type GraphBuilder, MICROSOFT } from "./graph_builder.ts";
import {
  blockWeights,
  linear,
  type LinearLowering,
  loweredBlocks,
} from "./linear.ts";
import type { LayerWeights } from "./model_family.ts";

/**
 * Adds the network of one layer.
 *
 * @param x `[tokens, hidden]`
 * @returns name of the output, `[tokens, hidden]`
 */
export async function feedForward(
  graph: GraphBuilder,
  lowering: LinearLowering,
  x: string,
  name: string,
  weights: Pick<LayerWeights, "gate" | "up" | "down">,
): Promise<string> {
  const gated = await fused(graph, lowering, x, `${name}.gated`, weights) ??
    await composed(graph, lowering, x, `${name}.gated`, weights);
  return await linear(graph, lowering, gated, `${name}.down`, [weights.down]);
}

/** Both products, SiLU and the product of the two as one operator; `null` where that is not to be had. */
async function fused(
  graph: GraphBuilder,
  lowering: LinearLowering,
  x: string,
  name: string,
  { gate, up }: Pick<LayerWeights, "gate" | "up">,
): Promise<string | null> {
  if (lowering.kind !== "dispatches") return null;
  const [gateBlocks, upBlocks] = [gate, up].map((matrix) =>
    loweredBlocks(lowering, matrix, graph.floats)
  );
  if (!gateBlocks || !upBlocks || gateBlocks.offset || upBlocks.offset) {
    return null;
  }
  const { bits, blockSize } = gateBlocks;
  if (upBlocks.bits !== bits || upBlocks.blockSize !== blockSize) return null;
  const gateWeights = await blockWeights(
    graph,
    `${name}.gate`,
    [gateBlocks],
    gate,
  );
  const upWeights = await blockWeights(graph, `${name}.up`, [upBlocks], up);
  // No residual and no norm go in, and no biases.
  const inputs = [x, "", "", ...gateWeights, "", ...upWeights, ""];
  return graph.node("MatMulNBitsMlp", name, inputs, {
    domain: MICROSOFT,
    attributes: {
      K: gate.cols,
      N: gate.rows,
      bits,
      block_size: blockSize,
      accuracy_level: 0,
      activation: "silu",
    },
  });
}

async function composed(
  graph: GraphBuilder,
  lowering: LinearLowering,
  x: string,
  name: string,
  weights: Pick<LayerWeights, "gate" | "up">,
): Promise<string> {
  const both = await linear(graph, lowering, x, `${name}.both`, [
    weights.gate,
    weights.up,
  ]);
  const [gate, up] = [`${name}.gate`, `${name}.up`];
  graph.nodes("Split", [gate, up], [both], {
    attributes: { axis: -1, num_outputs: 2 },
  });
  // QuickGelu with α = 1 is SiLU: x · sigmoid(x).
  const active = graph.node("QuickGelu", `${name}.silu`, [gate], {
    domain: MICROSOFT,
    attributes: { alpha: float(1) },
  });
  return graph.node("Mul", name, [active, up]);
}
