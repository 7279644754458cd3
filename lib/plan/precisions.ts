/**
 * How rows can be kept, and what that takes: the allocator's functions, asked in its way. A further
 * precision is one more entry of {@linkcode PRECISIONS}.
 *
 * @module
 */
import { blockCount, conversationBytes, slotLayout } from "../cache/layout.ts";
import { bankRows, gpuSlotBytes } from "../decoder/gpu/gpu_size.ts";
import type { EngineName } from "../engine/engine.ts";
import { FusedGroupedQueryAttention } from "../graph/attention/fused_grouped_query.ts";
import { GroupedQueryAttention } from "../graph/attention/grouped_query.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";
import type { KvBits } from "../cache/cache_format.ts";
import { rowFormats } from "../graph/attention/row_formats.ts";
import type { Element } from "../../kernels/element.ts";
import type { LayerGroup } from "./policies.ts";

/** Rows of one kind, on the engines that have them. */
export interface Precision {
  /** What a row's elements are. */
  readonly name: string;
  /** Bits of each. */
  readonly kvBits: KvBits;
  readonly engines: readonly EngineName[];
  /** Whether layers may keep different numbers of rows. */
  readonly layered: boolean;
  /**
   * Bytes of some layers of one conversation's cache, of `slots` side by side.
   *
   * @throws {TypeError} if the engines cannot attend with such heads
   */
  groupBytes(shape: AttentionShape, group: LayerGroup, slots: number): number;
}

/** Rows in host memory. */
export function hostRows(
  bits: KvBits,
  engines: readonly EngineName[],
): Precision {
  const formats = rowFormats(bits);
  return {
    name: formats.name,
    kvBits: bits,
    engines,
    layered: true,
    groupBytes(shape, { layers, sinks, window }) {
      const blocks = blockCount(window, bits);
      const attention = new GroupedQueryAttention(shape, { blocks, formats });
      const layout = slotLayout(sinks, window, attention);
      const layer = { tensors: attention.tensors(0), layout };
      return layers * conversationBytes([layer]);
    },
  };
}

/** Rows on a GPU, where each slot has spare rows, too. */
export function gpuRows(element: Element): Precision {
  const floats = element === "f16" ? "float16" : "float32";
  return {
    name: element,
    kvBits: element === "f16" ? 16 : 32,
    engines: ["webgpu"],
    layered: false,
    groupBytes(shape, { layers, sinks, window }, slots) {
      const tensors = new FusedGroupedQueryAttention(shape, floats).tensors();
      // How long chunks are concerns the stage alone, which there is one of.
      const size = { sinks, window, slots, chunk: 1, element };
      const rows = bankRows(size, slots);
      return gpuSlotBytes({ layers, tensors }, rows);
    },
  };
}

/** Every precision there is. */
export const PRECISIONS: readonly Precision[] = [
  hostRows(32, ["native", "wasm"]),
  hostRows(16, ["native", "wasm"]),
  hostRows(8, ["native", "wasm", "webgpu"]),
  hostRows(4, ["native", "wasm", "webgpu"]),
  gpuRows("f32"),
  gpuRows("f16"),
];
