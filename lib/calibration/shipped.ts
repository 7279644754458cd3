/** Calibrations that come along, by the SHA-256 of the model's file. @module */
import type { Calibration } from "./calibration.ts";

/** As `deno task calibrate` measured them. */
export const SHIPPED: Readonly<Record<string, Calibration>> = {};
