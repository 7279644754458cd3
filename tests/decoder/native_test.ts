import { NATIVE } from "../../lib/engine/native.ts";
import { contractTests } from "./contract.ts";

// Errors found: up to 1.9e-5.
contractTests(NATIVE, { long: 4000, short: 150, tolerance: 1e-4 });
