import { WEBGPU } from "../../lib/engine/web.ts";
import { batchContractTests } from "./batch_contract.ts";
import { contractTests } from "./contract.ts";

const adapter = await navigator.gpu?.requestAdapter();
const absent = adapter
  ? null
  : "no WebGPU adapter was found (run with --unstable-webgpu)";
if (absent && Deno.env.get("EVERSTREAM_REQUIRE_GPU") === "1") {
  throw new Error(absent);
}
if (absent) console.warn(`WebGPU is not tested: ${absent}`);

// Adapters in software count here: it is arithmetic that is tested.
contractTests(WEBGPU, { absent, long: 40, short: 30, tolerance: 1e-4 });
batchContractTests(WEBGPU, {
  absent,
  runs: 2,
  steps: 12,
  copied: [8, 40],
  tolerance: 1e-4,
});
