/** From the losses of a curve to its figures. @module */
import type { KvBits } from "../../lib/cache/cache_format.ts";
import type { Machine } from "../machine.ts";
import { median } from "../statistics.ts";
import type { CurvePoint, CurveRecord } from "./curve_record.ts";
import {
  estimate,
  perplexity,
  type PerplexityRatio,
  perplexityRatio,
} from "./series.ts";

/** A cache's figures. */
export interface CurveFigures {
  readonly label: string;
  readonly kvBits: KvBits;
  readonly lazyLayers: number;
  readonly cacheBytes: number;
  /** How many times fewer bytes than rows of 16 bits in all layers. */
  readonly saving: number;
  readonly perplexity: number;
  /** Over plain rows in all layers; `null` for these, as what follows. */
  readonly change: PerplexityRatio | null;
  /** KL from them, nats, and the share of the same most likely tokens. */
  readonly kl: number | null;
  readonly agreement: number | null;
  /** Milliseconds of a decoding step of a full cache. */
  readonly stepMs: number;
}

/** All that the report shows. */
export interface CurveSummary {
  readonly machine: Machine;
  readonly text: string;
  readonly places: readonly number[];
  readonly tokens: number;
  readonly prompt: number;
  readonly fullBytes: number;
  readonly points: readonly CurveFigures[];
}

/** The figures of a record. */
export function summarizeCurve(record: CurveRecord): CurveSummary {
  const { schema: _, points, ...of } = record;
  return { ...of, points: points.map((point) => figuresOf(point, record)) };
}

function figuresOf(
  point: CurvePoint,
  { points: [plain], fullBytes }: CurveRecord,
): CurveFigures {
  const { label, kvBits, lazyLayers, cacheBytes, losses } = point;
  const compared = point !== plain;
  return {
    label,
    kvBits,
    lazyLayers,
    cacheBytes,
    saving: fullBytes / cacheBytes,
    perplexity: perplexity(losses),
    change: compared ? perplexityRatio(losses, plain!.losses) : null,
    kl: compared ? estimate(point.divergences).mean : null,
    agreement: compared ? estimate(point.agreements).mean : null,
    stepMs: median(point.stepMs),
  };
}
