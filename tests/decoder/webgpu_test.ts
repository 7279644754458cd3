import { batchContractTests } from "./batch_contract.ts";
import { contractTests } from "./contract.ts";
import { absentReason as absent } from "../gpu.ts";
import { gpuEngine } from "./open.ts";
import { recomputeContractTests } from "./recompute_contract.ts";

// Errors found: up to 1.5e-5.
contractTests(gpuEngine("f32"), {
  absent,
  long: 2000,
  short: 60,
  tolerance: 1e-4,
});
batchContractTests(gpuEngine("f32"), {
  absent,
  runs: 4,
  steps: 24,
  copied: [0, 5, 8, 17, 40],
  tolerance: 1e-4,
  // Neighbours append at different rows, which ONNX Runtime sums up in other tiles.
  moved: 2e-5,
});
recomputeContractTests(gpuEngine("f32"), {
  absent,
  tokens: 18,
  brief: true,
  tolerance: 1e-4,
});
// All is rounded to f16, 11 bits, and these random weights make the most of it: up to 0.13.
contractTests(gpuEngine("f16"), {
  absent,
  long: 200,
  short: 30,
  tolerance: 0.3,
});
