/** Memory for a conversation on its way from the stage into its slot. @module */
import type { CacheTensor } from "../../cache/layout.ts";
import type { Held } from "../../cache/held.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { bytesOf } from "../../../kernels/element.ts";
import type { RowBlock } from "../../../kernels/row_block.ts";
import type { BankShape } from "./slot_bank.ts";

/** What is kept of a conversation, outside of any slot: its tensors one after the other. */
export interface Packed {
  readonly held: Held;
  readonly buffer: GPUBuffer;
  /** In the order of a slot's tensors. */
  readonly blocks: readonly RowBlock[];
  readonly rows: number;
}

/** Claims memory for the first `rows` rows of all heads. */
export function claimPacked(
  gpu: Gpu,
  { layers, tensors, element }: BankShape,
  { held, rows }: { held: Held; rows: number },
): Packed {
  const [{ heads, width }] = tensors as [CacheTensor];
  const elements = heads * rows * width;
  const count = layers * tensors.length;
  const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
  const buffer = gpu.buffer("scratch", {
    label: "packed_slot",
    size: count * elements * bytesOf(element),
    usage: STORAGE | COPY_SRC | COPY_DST,
  });
  const blocks = Array.from({ length: count }, (_, i) => ({
    buffer,
    slot: 0,
    rows,
    offset: i * elements,
  }));
  return { held, buffer, blocks, rows };
}
