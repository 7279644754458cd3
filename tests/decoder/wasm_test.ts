import { WASM } from "../../lib/engine/web.ts";
import { batchContractTests } from "./batch_contract.ts";
import { contractTests } from "./contract.ts";

contractTests(WASM, { long: 3000, short: 100, tolerance: 1e-4 });
batchContractTests(WASM, {
  runs: 20,
  steps: 40,
  copied: [0, 2, 8, 17, 18, 60],
  tolerance: 1e-4,
});
