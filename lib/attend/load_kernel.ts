/** The kernel of attention, for a model. @module */
import { HEAD_STEP, MOST_HEAD_DIM } from "../../kernels/attend_job.ts";
import {
  type Code,
  placeCode,
  runsMachineCode,
} from "../engine/native/machine_code.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";

/** Whether there is a kernel for such heads here. */
export function attendable({ headDim }: AttentionShape): boolean {
  return headDim % HEAD_STEP === 0 && headDim <= MOST_HEAD_DIM &&
    runsMachineCode();
}

/**
 * Assembles the kernel, once for each shape.
 *
 * @throws {Error} where the system does not allow it
 */
export async function loadKernel(shape: AttentionShape): Promise<Code> {
  // Only who needs it waits for the assembler.
  const { attendRows } = await import("../../kernels/attend_rows.x64.ts");
  const { heads, kvHeads, headDim } = shape;
  const name = `attend ${heads} ${kvHeads} ${headDim}`;
  return placeCode(name, () => attendRows(shape));
}
