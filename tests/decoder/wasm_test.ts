import { WASM } from "../../lib/engine/web.ts";
import { contractTests } from "./contract.ts";

contractTests(WASM, { long: 3000, short: 100, tolerance: 1e-4 });
