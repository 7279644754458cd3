/**
 * How far an engine's logits are from exact arithmetic on the same weights, beside llama.cpp's:
 * `peers/reference_kl.py` writes an f32 reference's logits and llama.cpp's, this compares ours.
 *
 * @module
 */
import { join } from "node:path";
import type { Decoder } from "../../lib/decoder/decoder.ts";
import { type BenchModel, policyOf } from "../bench_model.ts";
import { installLlamaCppPython } from "../peers/install.ts";
import { outputOf } from "../run_program.ts";
import { argMax, klDivergence } from "../statistics.ts";

/** Distance of one implementation from the reference. */
export interface KlDistance {
  /** Mean and largest KL(reference ‖ it) over the positions, nats. */
  readonly meanKl: number;
  readonly maxKl: number;
  /** Share of positions with the same most likely token. */
  readonly top1Agreement: number;
}

/** Distances on one text. */
export interface KlResult {
  readonly tokens: number;
  readonly ours: KlDistance;
  readonly llamaCpp: KlDistance;
}

/** A text to compare logits on. */
export interface KlOptions {
  readonly text: string;
  /** Byte of the text to begin at. */
  readonly skip: number;
  readonly tokens: number;
  /** Where the peers are, and where the reference's logits go. */
  readonly peers: string;
  readonly output: string;
}

/** Has the reference and llama.cpp compute a text's logits, and compares ours. */
export async function measureKlOf(
  model: BenchModel,
  options: KlOptions,
): Promise<KlResult> {
  const { text, skip, tokens, peers } = options;

  const { referenceKl } = await installLlamaCppPython(peers);
  await outputOf([
    ...referenceKl,
    model.path,
    text,
    options.output,
    String(tokens),
    String(skip),
  ]);
  return await measureKl(model, await readReference(options.output));
}

/** Logits of a reference, of llama.cpp and the tokens they are of; `[tokens, vocabulary]`. */
export interface ReferenceLogits {
  readonly tokens: readonly number[];
  readonly reference: Float32Array;
  readonly llamaCpp: Float32Array;
}

/**
 * Reads what `reference_kl.py` wrote.
 *
 * @throws {TypeError} if the files do not belong together.
 */
export async function readReference(
  directory: string,
): Promise<ReferenceLogits> {
  const tokens = JSON.parse(
    await Deno.readTextFile(join(directory, "tokens.json")),
  );
  const floats = async (name: string) => {
    const bytes = await Deno.readFile(join(directory, name));
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  };
  const reference = await floats("reference_logits.f32");
  const llamaCpp = await floats("llama_cpp_logits.f32");
  if (
    reference.length !== llamaCpp.length ||
    reference.length % tokens.length !== 0
  ) {
    throw new TypeError(
      `Cannot compare ${reference.length} and ${llamaCpp.length} logits of ${tokens.length} tokens`,
    );
  }
  return { tokens, reference, llamaCpp };
}

/** Runs our engine over the reference's tokens, none of them evicted, and compares. */
export async function measureKl(
  model: BenchModel,
  given: ReferenceLogits,
): Promise<KlResult> {
  const { tokens, reference, llamaCpp } = given;
  const policy = policyOf(tokens.length);
  const decoder = await model.decoder(policy);
  const { vocabulary } = decoder;
  if (reference.length !== tokens.length * vocabulary) {
    throw new TypeError(
      `Cannot compare ${reference.length} logits of ${tokens.length} tokens with a vocabulary of ${vocabulary}`,
    );
  }
  decoder.open(0, policy);
  const ours = new Distance(reference, vocabulary);
  const theirs = new Distance(reference, vocabulary);
  for (let at = 0; at < tokens.length; at += decoder.chunk) {
    ours.add(await logitsOf(decoder, tokens.slice(at, at + decoder.chunk)));
  }
  theirs.add(llamaCpp);
  return {
    tokens: tokens.length,
    ours: ours.result(),
    llamaCpp: theirs.result(),
  };
}

async function logitsOf(
  decoder: Decoder,
  tokens: readonly number[],
): Promise<Float32Array> {
  const [logits] = await decoder.run([{
    slot: 0,
    tokens,
    logits: tokens.length,
  }]);
  return logits!;
}

/** Adds up the distance position by position. */
class Distance {
  readonly #reference: Float32Array;
  readonly #vocabulary: number;
  readonly #kl: number[] = [];
  #agreed = 0;

  constructor(reference: Float32Array, vocabulary: number) {
    this.#reference = reference;
    this.#vocabulary = vocabulary;
  }

  /** Takes the next positions' logits, `[positions, vocabulary]`. */
  add(logits: Float32Array): void {
    const vocabulary = this.#vocabulary;
    for (let from = 0; from < logits.length; from += vocabulary) {
      const other = logits.subarray(from, from + vocabulary);
      const start = this.#kl.length * vocabulary;
      const reference = this.#reference.subarray(start, start + vocabulary);
      this.#kl.push(klDivergence(reference, other));
      if (argMax(reference) === argMax(other)) this.#agreed++;
    }
  }

  result(): KlDistance {
    const count = this.#kl.length;
    const total = this.#kl.reduce((a, b) => a + b, 0);
    return {
      meanKl: total / count,
      maxKl: Math.max(...this.#kl),
      top1Agreement: this.#agreed / count,
    };
  }
}
