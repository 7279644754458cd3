/** Why there is no GPU to test on; where tests require one, this throws. @module */
import { findAdapter } from "../../lib/engine/adapter.ts";

const found = await findAdapter("high-performance");

/** `null` if there is an adapter; those in software count here: it is arithmetic that is tested. */
export const gpuAbsent: string | null = found.adapter ? null : found.problem;

if (gpuAbsent && Deno.env.get("EVERSTREAM_REQUIRE_GPU") === "1") {
  throw new Error(gpuAbsent);
}
if (gpuAbsent) console.warn(`WebGPU is not tested: ${gpuAbsent}`);
