import type { Engine } from "../../lib/engine/engine.ts";
import { NATIVE } from "../../lib/engine/native.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";
import { batchContractTests } from "./batch_contract.ts";
import { contractTests } from "./contract.ts";
import { encodedRowsTests } from "./encoded_rows.ts";
import { hostMemoryTest } from "./host_memory.ts";
import { layeredContractTests } from "./layered_contract.ts";
import { hostEngine } from "./open.ts";
import { recomputeContractTests } from "./recompute_contract.ts";

// Errors found: up to 1.9e-5.
const engine = hostEngine(NATIVE);
contractTests(engine, { long: 4000, short: 150, tolerance: 1e-4 });
// As on a CPU that our kernel is not for.
const plain: Engine = { ...NATIVE, products: "integers" };
for (
  const rows of [undefined, { formats: rowFormats(8, plain), tailRows: 3 }]
) {
  const tested = hostEngine(plain, rows);
  const name = `${tested.name} without the kernel`;
  contractTests({ ...tested, name }, {
    long: 300,
    short: 50,
    tolerance: 1e-4,
    ...rows ? { known: 100 } : {},
  });
}
batchContractTests(engine, {
  runs: 40,
  steps: 40,
  copied: [0, 2, 5, 8, 17, 18, 60],
  tolerance: 1e-4,
  moved: 0,
});
recomputeContractTests(engine, { tokens: 40, tolerance: 1e-4 });
hostMemoryTest(NATIVE);
encodedRowsTests(NATIVE, { long: 1500, short: 100, runs: 10 });
layeredContractTests(NATIVE, { short: 120 });
