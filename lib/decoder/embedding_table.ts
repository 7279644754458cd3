/**
 * Token embeddings, kept as packed as the file has them and unpacked a row at a time: a graph that
 * takes embeddings rather than ids needs no table of its own.
 *
 * @module
 */
import { dequantize } from "../weights/dequantize.ts";
import type { GgmlTypeName } from "../weights/ggml_types.ts";
import type { GgufFile } from "../weights/gguf.ts";

/** Rows of a `[vocabulary, hidden]` table. */
export class EmbeddingTable {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly #type: GgmlTypeName;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  private constructor(
    type: GgmlTypeName,
    shape: readonly number[],
    bytes: Uint8Array<ArrayBuffer>,
  ) {
    [this.vocabulary, this.hidden] = shape as [number, number];
    this.#type = type;
    this.#bytes = bytes;
  }

  /** Reads the packed table from a file. */
  static async read(file: GgufFile, name: string): Promise<EmbeddingTable> {
    const { type, shape } = file.tensors.get(name)!;
    return new EmbeddingTable(type, shape, await file.read(name));
  }

  /**
   * Writes the embedding of `token` to `out`, `[hidden]`.
   *
   * @throws {RangeError} if there is no such token.
   */
  write(token: number, out: Float32Array): void {
    if (!Number.isInteger(token) || token < 0 || token >= this.vocabulary) {
      throw new RangeError(
        `Cannot embed token ${token}: the vocabulary has ids 0 to ${
          this.vocabulary - 1
        }`,
      );
    }
    const rowBytes = this.#bytes.length / this.vocabulary;
    const row = this.#bytes.subarray(token * rowBytes, (token + 1) * rowBytes);
    out.set(dequantize(this.#type, row, this.hidden));
  }
}
