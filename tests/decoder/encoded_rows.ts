/**
 * The contract for decoders that keep rows of fewer bits, with a window and a tail so small that rows
 * leave both all the time.
 *
 * @module
 */
import type { Engine } from "../../lib/engine/engine.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";
import { batchContractTests } from "./batch_contract.ts";
import { contractTests } from "./contract.ts";
import { hostMemoryTest } from "./host_memory.ts";
import { hostEngine } from "./open.ts";
import { recomputeContractTests } from "./recompute_contract.ts";

/**
 * Where rounding decides no code, logits are as near to the reference as those of f32 rows (found: up
 * to 2.3e-5). Of 16 bits, it decides some in every row; each is worth 1/32,767 (found: up to 3.1e-4).
 */
const PRECISIONS = [
  { bits: 16, tolerance: 1e-3, known: 1 },
  { bits: 8, tolerance: 1e-4, known: 0.4 },
  { bits: 4, tolerance: 1e-4, known: 0.9 },
] as const;

/** Adds the tests of one engine, for each precision. */
export function encodedRowsTests(
  engine: Engine,
  { long, short, runs }: { long: number; short: number; runs: number },
): void {
  for (const { bits, tolerance, known } of PRECISIONS) {
    const rows = { formats: rowFormats(bits, engine), tailRows: 3 };
    const tested = hostEngine(engine, rows);
    const share = Math.floor(known * (17 + long));
    contractTests(tested, { long, short, tolerance, known: share });
    batchContractTests(tested, {
      runs,
      steps: 30,
      copied: [0, 2, 5, 8, 17, 18, 60],
      tolerance,
      moved: 0,
    });
    hostMemoryTest(engine, { bits, rows });
  }
  // Keys of a layer that loses most by 4 bits have 8; chunks and windows that are computed anew.
  const mixed = {
    formats: rowFormats(4, { ...engine, sensitive: [1] }),
    tailRows: 5,
  };
  recomputeContractTests(hostEngine(engine, mixed), {
    tokens: 40,
    tolerance: 1e-4,
  });
}
