/**
 * What was measured of a model for `simplayer`: how much of their attention its layers give to near
 * tokens, and so how many of them are lazy. Kept beside the converted graphs; some models' come along.
 *
 * @module
 */
import { join } from "node:path";
import { z } from "zod";
import { SHIPPED } from "./shipped.ts";

const share = z.number().min(0).max(1);

const SCHEMA = z.object({
  /** Tokens of the conversations that were measured. */
  tokens: z.number().int().positive(),
  /** How many of those. */
  places: z.number().int().positive(),
  /** Mass on near tokens from which a layer is lazy. */
  threshold: share,
  /** Loss from which a layer is kept whole, whatever its mass. */
  loss: z.number().positive(),
  /** Layers with at least that mass that are not kept. */
  lazyLayers: z.number().int().min(0),
  /** Layers with at least that mass that are never lazy, as they lose too much. */
  keptLayers: z.array(z.number().int().min(0)),
  /** By layer: averages over heads, the last 32 queries and all conversations. */
  mass: z.array(share).min(1),
  /**
   * By layer: mean KL divergence (nats) of what follows if that layer alone is lazy, from what follows
   * if none is; `null` where mass is below the threshold.
   */
  losses: z.array(z.number().nullable()).min(1),
});

/** A calibration. */
export type Calibration = Readonly<z.infer<typeof SCHEMA>>;

/** What is measured of a model's layers. */
export type Measured = Pick<
  Calibration,
  "tokens" | "places" | "threshold" | "loss" | "mass" | "losses"
>;

/**
 * Proposes how many layers are lazy, and which never are.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { propose } from "./calibration.ts";
 * const { lazyLayers, keptLayers } = propose({
 *   tokens: 4096,
 *   places: 1,
 *   threshold: 0.9,
 *   loss: 0.01,
 *   mass: [0.7, 0.95, 0.99],
 *   losses: [null, 0.003, 0.034],
 * });
 * assertEquals([lazyLayers, keptLayers], [1, [2]]);
 * ```
 */
export function propose(measured: Measured): Calibration {
  const { mass, losses, threshold, loss } = measured;
  const attentive = [...mass.keys()].filter((l) => mass[l]! >= threshold);
  const keptLayers = attentive.filter((l) => (losses[l] ?? 0) >= loss);
  const lazyLayers = attentive.length - keptLayers.length;
  return { ...measured, lazyLayers, keptLayers };
}

/** By layer, the average over the conversations that have a number for it; `null` where none has. */
export function averages(
  conversations: readonly (readonly (number | null)[])[],
): (number | null)[] {
  const [first] = conversations as [readonly (number | null)[]];
  return first.map((_, layer) => {
    const of = conversations.map((numbers) => numbers[layer]!)
      .filter((number) => number !== null);
    if (of.length === 0) return null;
    const sum = of.reduce((sum, number) => sum + number, 0);
    return Math.round(1e4 * sum / of.length) / 1e4;
  });
}

/**
 * The calibration of a model: one of this machine's, else one that comes along, else `null`.
 *
 * @param of.graphs directory of converted graphs
 * @throws {SyntaxError} if there is one that cannot be read: it says where
 */
export async function readCalibration(
  of: { sha256: string; graphs: string },
): Promise<Calibration | null> {
  const path = pathOf(of);
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return SHIPPED[of.sha256] ?? null;
  }
  try {
    return SCHEMA.parse(JSON.parse(text));
  } catch (cause) {
    throw new SyntaxError(
      `Cannot read the calibration in ${path}: remove it, or run "deno task calibrate" again`,
      { cause },
    );
  }
}

/** Keeps a calibration beside the graphs; gives its path. */
export async function writeCalibration(
  of: { sha256: string; graphs: string },
  calibration: Calibration,
): Promise<string> {
  const path = pathOf(of);
  await Deno.mkdir(of.graphs, { recursive: true });
  const part = `${path}.part`;
  await Deno.writeTextFile(part, `${JSON.stringify(calibration, null, 2)}\n`);
  await Deno.rename(part, path);
  return path;
}

function pathOf(
  { sha256, graphs }: { sha256: string; graphs: string },
): string {
  return join(graphs, `${sha256.slice(0, 16)}-calibration.json`);
}
