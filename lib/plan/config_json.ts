/**
 * A model's numbers from the `config.json` of its repository on the Hugging Face hub.
 *
 * @module
 */
import { z } from "zod";
import type { CacheShape } from "../graph/decoder_shape.ts";

/** The most bytes that a `config.json` may take; usual ones take a thousand. */
export const MAX_CONFIG_BYTES = 1 << 20;

/** Far above every model's numbers. */
const MOST = 1 << 20;

const count = z.int().min(1).max(MOST);
const absent = (why: string) => z.null(why).optional();

const SCHEMA = z.object({
  num_hidden_layers: count,
  hidden_size: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  kv_lora_rank: absent("caches of compressed rows (MLA) are not known here"),
  layer_types: z.array(
    z.literal(
      "full_attention",
      'layers of another kind than "full_attention" are not known here',
    ),
  ).nullish(),
});

/**
 * Reads a `config.json`.
 *
 * @param path for messages
 * @throws {SyntaxError} if it is no JSON
 * @throws {TypeError} if it is not of a model whose layers all keep keys and values, or its numbers
 * make no sense
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { readConfigJson } from "./config_json.ts";
 * const text = JSON.stringify({
 *   num_hidden_layers: 30,
 *   hidden_size: 576,
 *   num_attention_heads: 9,
 *   num_key_value_heads: 3,
 * });
 * assertEquals(readConfigJson("config.json", text), {
 *   layers: 30,
 *   heads: 9,
 *   kvHeads: 3,
 *   headDim: 64,
 * });
 * ```
 */
export function readConfigJson(path: string, text: string): CacheShape {
  const result = SCHEMA.safeParse(parse(path, text));
  if (!result.success) {
    const problems = result.error.issues.map(({ path, message }) =>
      `${path.join(".") || "the whole"}: ${message}`
    );
    throw new TypeError(
      `Cannot plan caches from ${path}:\n  ${
        problems.slice(0, 8).join("\n  ")
      }`,
    );
  }
  const config = result.data;
  const heads = config.num_attention_heads;
  const kvHeads = config.num_key_value_heads ?? heads;
  const headDim = config.head_dim ?? config.hidden_size / heads;
  if (!Number.isInteger(headDim / 2) || heads % kvHeads !== 0) {
    throw new TypeError(
      `Cannot plan caches from ${path}: ${heads} heads of ${headDim} values over ${kvHeads} make no ` +
        "sense: a head must have an even number of values, and num_attention_heads be a multiple of " +
        "num_key_value_heads",
    );
  }
  return { layers: config.num_hidden_layers, heads, kvHeads, headDim };
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(
      `Cannot plan caches from ${path}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
