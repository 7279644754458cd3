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
  /** Layers with at least that mass. */
  lazyLayers: z.number().int().min(0),
  /** By layer: averages over heads, the last 32 queries and all conversations. */
  mass: z.array(share).min(1),
});

/** A calibration. */
export type Calibration = Readonly<z.infer<typeof SCHEMA>>;

/**
 * Proposes how many layers are lazy.
 *
 * @param masses by conversation, by layer
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { propose } from "./calibration.ts";
 * const { lazyLayers, mass } = propose([[0.8, 1], [0.6, 0.9]], { threshold: 0.9, tokens: 4096 });
 * assertEquals([lazyLayers, mass], [1, [0.7, 0.95]]);
 * ```
 */
export function propose(
  masses: readonly (readonly number[])[],
  { threshold, tokens }: { threshold: number; tokens: number },
): Calibration {
  const [first] = masses as [readonly number[]];
  const mass = first.map((_, layer) => {
    const sum = masses.reduce((sum, of) => sum + of[layer]!, 0);
    return Math.round(1e4 * sum / masses.length) / 1e4;
  });
  const lazyLayers = mass.filter((of) => of >= threshold).length;
  return { tokens, places: masses.length, threshold, lazyLayers, mass };
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
