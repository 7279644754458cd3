/** Which numbers the caches on a GPU hold. @module */
import type { Element } from "../../kernels/element.ts";
import type { Gpu } from "./gpu.ts";

/** Values of `EVERSTREAM_GPU_ROWS`. */
export const GPU_ROWS = ["auto", "f16", "f32"] as const;

/** What the operator asks for. */
export type GpuRowsChoice = typeof GPU_ROWS[number];

/**
 * The one asked for; for `auto` f16 where shaders can compute with it.
 *
 * @throws {Error} if f16 is asked for and the GPU cannot
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { chooseRows } from "./gpu_element.ts";
 *
 * const gpu = { f16: false, description: "Old GPU" };
 * assertEquals(chooseRows("auto", gpu), "f32");
 * ```
 */
export function chooseRows(
  choice: GpuRowsChoice,
  { f16, description }: Pick<Gpu, "f16" | "description">,
): Element {
  if (choice === "auto") return f16 ? "f16" : "f32";
  if (choice === "f32" || f16) return choice;
  throw new Error(
    `Cannot keep rows of f16 (EVERSTREAM_GPU_ROWS=f16): GPU "${description}" has no shader-f16. ` +
      "Set EVERSTREAM_GPU_ROWS=f32 (twice the memory) or auto",
  );
}
