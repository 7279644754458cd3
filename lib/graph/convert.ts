/**
 * From a GGUF file to a decoder graph on disk, once: the result is kept in a directory named by
 * the file's hash, the lowering and the converter's version, and a later start just opens it.
 *
 * @module
 */
import { join } from "node:path";
import type { GgufFile } from "../weights/gguf.ts";
import type { Metadata } from "../weights/metadata.ts";
import type { AttentionKind } from "./attention/attention_kind.ts";
import type { DecoderShape } from "./decoder_shape.ts";
import { LLAMA } from "./families/llama.ts";
import { GraphBuilder, type WeightWriter } from "./graph_builder.ts";
import type { LinearLowering } from "./linear.ts";
import type { ModelFamily } from "./model_family.ts";
import { addTransformer } from "./transformer.ts";

/** Raise it whenever the same file gives another graph, or caches lie otherwise: copies of caches know it, too. */
export const CONVERTER_VERSION = 17;

const FAMILIES: readonly ModelFamily[] = [LLAMA];
const GRAPH = "graph.onnx";
const WEIGHTS = "weights.bin";
const ALIGNMENT = 64;

/** A graph on disk. */
export interface DecoderGraph {
  /** Path of the ONNX file. */
  readonly graph: string;
  /** Path of its weights, beside it. */
  readonly weights: string;
  /** Name by which the graph refers to its weights. */
  readonly weightsName: string;
}

/** What is known of a model before its graph is built. */
export interface DecoderPlan<Kind extends AttentionKind = AttentionKind> {
  readonly family: ModelFamily;
  readonly shape: DecoderShape;
  readonly attention: Kind;
}

/**
 * The family that reads a file.
 *
 * @throws {TypeError} if none knows the file's architecture.
 */
export function familyOf(metadata: Metadata): ModelFamily {
  const architecture = metadata.string("general.architecture");
  const family = FAMILIES.find((family) =>
    family.architectures.includes(architecture)
  );
  if (family) return family;
  const known = FAMILIES.flatMap((family) => family.architectures).join(", ");
  throw new TypeError(
    `Cannot run architecture "${architecture}" ("general.architecture"): known are ${known}`,
  );
}

/**
 * Finds the family that reads a file, and the file's numbers.
 *
 * @param attention how to attend, by the model's numbers
 * @throws {TypeError} if no family knows the file's architecture, or its numbers make no sense.
 */
export async function planDecoder<Kind extends AttentionKind>(
  file: GgufFile,
  attention: (shape: DecoderShape) => Kind,
): Promise<DecoderPlan<Kind>> {
  const family = familyOf(file.metadata);
  const shape = await family.readShape(file);
  return { family, shape, attention: attention(shape) };
}

/**
 * Opens the graph of a file, converting it if this is the first time. A conversion that fails or
 * is killed leaves nothing under the final name.
 *
 * @param source.sha256 the file's hash, hexadecimal
 * @param directory where converted graphs are kept
 */
export async function openDecoderGraph(
  source: { file: GgufFile; plan: DecoderPlan; sha256: string },
  lowering: LinearLowering,
  directory: string,
): Promise<DecoderGraph> {
  const kind = lowering.kind === "blocks"
    ? `blocks${lowering.accuracyLevel}`
    : lowering.kind;
  const { plan, sha256 } = source;
  const name = `${
    sha256.slice(0, 16)
  }-${kind}-${plan.attention.name}-v${CONVERTER_VERSION}`;
  const target = join(directory, name);
  if (!await exists(join(target, GRAPH))) {
    await Deno.mkdir(directory, { recursive: true });
    const temporary = await Deno.makeTempDir({
      dir: directory,
      prefix: `${name}.part-`,
    });
    try {
      await convert(source.file, source.plan, lowering, temporary);
      await moveInto(temporary, target);
    } catch (error) {
      await Deno.remove(temporary, { recursive: true }).catch(() => {});
      throw error;
    }
  }
  return {
    graph: join(target, GRAPH),
    weights: join(target, WEIGHTS),
    weightsName: WEIGHTS,
  };
}

async function convert(
  file: GgufFile,
  plan: DecoderPlan,
  lowering: LinearLowering,
  directory: string,
): Promise<void> {
  using output = await Deno.create(join(directory, WEIGHTS));
  const builder = new GraphBuilder(
    "decoder",
    new FileWeights(output),
    plan.attention.floats,
  );
  await addTransformer(builder, { file, ...plan }, {
    attention: plan.attention,
    linear: lowering,
  });
  await Deno.writeFile(join(directory, GRAPH), builder.finish());
}

class FileWeights implements WeightWriter {
  readonly location = WEIGHTS;
  readonly #file: Deno.FsFile;
  #size = 0;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  async append(bytes: Uint8Array): Promise<number> {
    const offset = Math.ceil(this.#size / ALIGNMENT) * ALIGNMENT;
    await this.#write(new Uint8Array(offset - this.#size));
    await this.#write(bytes);
    return offset;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      at += await this.#file.write(bytes.subarray(at));
    }
    this.#size += bytes.length;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Renames a directory into place; another process that was first wins. */
async function moveInto(temporary: string, target: string): Promise<void> {
  try {
    await Deno.rename(temporary, target);
  } catch (error) {
    if (!await exists(join(target, GRAPH))) throw error;
    await Deno.remove(temporary, { recursive: true });
  }
}
