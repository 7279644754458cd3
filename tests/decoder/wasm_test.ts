import { WASM } from "../../lib/engine/wasm.ts";
import { batchContractTests } from "./batch_contract.ts";
import { contractTests } from "./contract.ts";
import { encodedRowsTests } from "./encoded_rows.ts";
import { hostMemoryTest } from "./host_memory.ts";
import { layeredContractTests } from "./layered_contract.ts";
import { hostEngine } from "./open.ts";
import { recomputeContractTests } from "./recompute_contract.ts";

const engine = hostEngine(WASM);
contractTests(engine, { long: 3000, short: 100, tolerance: 1e-4 });
batchContractTests(engine, {
  runs: 20,
  steps: 40,
  copied: [0, 2, 8, 17, 18, 60],
  tolerance: 1e-4,
  moved: 0,
});
recomputeContractTests(engine, { tokens: 40, tolerance: 1e-4 });
hostMemoryTest(WASM);
encodedRowsTests(WASM, { long: 1000, short: 100, runs: 6 });
layeredContractTests(WASM, { short: 120 });
