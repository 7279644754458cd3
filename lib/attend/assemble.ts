/** The kernel's module for a model. @module */
import { attendRows, HEAD_STEP } from "../../kernels/attend_rows.wat.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";

/** Whether there is a kernel for such heads. */
export function attendable({ headDim }: AttentionShape): boolean {
  return headDim % HEAD_STEP === 0;
}

/**
 * Assembles the kernel.
 *
 * @throws {Error} if the machine's WebAssembly lacks relaxed SIMD
 */
export async function assembleKernel(
  { headDim }: AttentionShape,
): Promise<WebAssembly.Module> {
  const { default: wabt } = await import("wabt"); // only who needs it waits for it
  const { parseWat } = await wabt();
  const features = {
    simd: true,
    threads: true,
    relaxed_simd: true,
    bulk_memory: true,
  };
  const text = parseWat("attend_rows.wat", attendRows(headDim), features);
  try {
    const { buffer } = text.toBinary({});
    return await WebAssembly.compile(buffer as Uint8Array<ArrayBuffer>);
  } finally {
    text.destroy();
  }
}
