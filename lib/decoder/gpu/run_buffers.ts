/**
 * The buffers through which a run on a GPU gets its tokens and gives its logits: claimed once, as large
 * as the largest run needs, and written over by each.
 *
 * @module
 */
import {
  type AppendPlan,
  fillGpuMask,
  type GpuRows,
  type Lane,
  rowCount,
} from "../../cache/gpu_rows.ts";
import { HIDDEN } from "../../cache/sink_window.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { GpuGraph, GpuTensor } from "../../engine/gpu_session.ts";
import { FUSED_CONTEXT } from "../../graph/attention/fused_grouped_query.ts";
import type { DecoderShape } from "../../graph/decoder_shape.ts";
import { bytesOf, type Element } from "../../../kernels/element.ts";
import type { EmbeddingTable } from "../embedding_table.ts";
import type { AngleTable } from "../angle_table.ts";

/** A slot's part of a run, with its tokens; none if it idles. */
export interface TokenLane extends Lane {
  readonly tokens: readonly number[];
  /** Of how many of its last tokens logits are wanted. */
  readonly logits: number;
}

/** Largest runs that there are: slots side by side, and a chunk of one slot. */
export interface RunBounds {
  readonly steps: { readonly lanes: number; readonly rows: GpuRows };
  readonly chunk: { readonly tokens: number; readonly rows: GpuRows };
}

const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;

/** Inputs and logits of runs. */
export class RunBuffers {
  /** f32 `[most tokens, vocabulary]`; a run fills it from its beginning. */
  readonly logits: GPUBuffer;
  /** Most tokens of a run, and rows of {@linkcode logits}. */
  readonly most: number;
  readonly #of: {
    gpu: Gpu;
    session: GpuGraph;
    shape: DecoderShape;
    embeddings: EmbeddingTable;
    angles: AngleTable;
    element: Element;
  };
  readonly #embeddings: GPUBuffer;
  readonly #cos: GPUBuffer;
  readonly #sin: GPUBuffer;
  readonly #mask: GPUBuffer;
  readonly #lengths: GPUBuffer;
  readonly #wanted: GPUBuffer;
  /** Rows of `#cos` and `#sin`. */
  readonly #angleRows: number;

  constructor(
    of: {
      gpu: Gpu;
      session: GpuGraph;
      shape: DecoderShape;
      embeddings: EmbeddingTable;
      angles: AngleTable;
      element: Element;
    },
    { steps, chunk }: RunBounds,
  ) {
    this.#of = of;
    const { gpu, shape, angles, element } = of;
    const buffer = (label: string, size: number, usage = STORAGE | COPY_DST) =>
      gpu.buffer("scratch", { label, size, usage });
    const bytes = bytesOf(element);
    this.most = Math.max(steps.lanes, chunk.tokens);
    const rows = [rowCount(steps.rows), rowCount(chunk.rows)] as const;
    this.#angleRows = Math.max(...rows);
    const angleBytes = this.#angleRows * angles.half * bytes;
    const masks = Math.max(steps.lanes * rows[0], chunk.tokens * rows[1]);
    this.#embeddings = buffer("embeddings", this.most * shape.hidden * bytes);
    this.#cos = buffer("cos", angleBytes);
    this.#sin = buffer("sin", angleBytes);
    this.#mask = buffer("mask", Math.ceil(masks * bytes / 4) * 4);
    this.#lengths = buffer("lengths", steps.lanes * 4);
    this.#wanted = buffer("logit_tokens", this.most * 8);
    this.logits = buffer(
      "logits",
      this.most * shape.vocabulary * 4,
      STORAGE | COPY_SRC,
    );
  }

  /**
   * Writes a run's inputs; gives all of them but the caches, and its one output that is no cache.
   *
   * @param lanes by slot, from the first; all that do not idle have as many tokens
   * @throws {RangeError} if there is no such token; nothing has been written then
   */
  write(
    rows: GpuRows,
    lanes: readonly (TokenLane | null)[],
    { append, total }: AppendPlan,
  ): {
    inputs: Record<string, GpuTensor>;
    outputs: Record<string, GpuTensor>;
  } {
    const { gpu, session, shape, embeddings, angles, element } = this.#of;
    const batch = lanes.length;
    const count = Math.max(...lanes.map((lane) => lane?.count ?? 0));
    const vectors = new Float32Array(batch * count * shape.hidden);
    const mask = new Float32Array(batch * count * total);
    const wanted: number[] = [];
    const positions: number[] = [];
    for (const [b, lane] of lanes.entries()) {
      const part = mask.subarray(b * count * total, (b + 1) * count * total);
      if (!lane || lane.count === 0) {
        hideAll(part, append + b);
        if (count === 1) positions.push(0);
        continue;
      }
      fillGpuMask(part, rows, lane, append + b);
      for (const [t, token] of lane.tokens.entries()) {
        const at = (b * count + t) * shape.hidden;
        embeddings.write(token, vectors.subarray(at, at + shape.hidden));
        positions.push(lane.seen + t);
        if (t >= count - Math.max(1, lane.logits)) wanted.push(b * count + t);
      }
    }
    const { cos, sin } = angles.rows(positions);
    const { queue } = gpu.device;
    const elements = (values: Float32Array<ArrayBuffer>) =>
      element === "f16" ? halves(values) : values;
    const firstAngle = append * angles.half * bytesOf(element);
    queue.writeBuffer(this.#embeddings, 0, elements(vectors));
    queue.writeBuffer(this.#cos, firstAngle, elements(cos));
    queue.writeBuffer(this.#sin, firstAngle, elements(sin));
    queue.writeBuffer(this.#mask, 0, elements(mask));
    const lengths = lanes.map((_, b) => append + b + count - 1);
    queue.writeBuffer(this.#lengths, 0, Int32Array.from(lengths));
    queue.writeBuffer(this.#wanted, 0, BigInt64Array.from(wanted, BigInt));

    const type = element === "f16" ? "float16" : "float32";
    const angleDims = [this.#angleRows, angles.half];
    return {
      inputs: {
        embeddings: session.tensor(this.#embeddings, type, [
          batch * count,
          shape.hidden,
        ]),
        [FUSED_CONTEXT.cos]: session.tensor(this.#cos, type, angleDims),
        [FUSED_CONTEXT.sin]: session.tensor(this.#sin, type, angleDims),
        [FUSED_CONTEXT.mask]: session.tensor(this.#mask, type, [
          batch,
          1,
          count,
          total,
        ]),
        [FUSED_CONTEXT.lengths]: session.tensor(this.#lengths, "int32", [
          batch,
        ]),
        [FUSED_CONTEXT.total]: session.scalar(total),
        [FUSED_CONTEXT.tokens]: session.shape([batch, count, -1]),
        logit_tokens: session.tensor(this.#wanted, "int64", [wanted.length]),
      },
      outputs: {
        logits: session.tensor(this.logits, "float32", [
          wanted.length,
          shape.vocabulary,
        ]),
      },
    };
  }

  /** Frees the buffers. */
  destroy(): void {
    for (
      const buffer of [
        this.#embeddings,
        this.#cos,
        this.#sin,
        this.#mask,
        this.#lengths,
        this.#wanted,
        this.logits,
      ]
    ) buffer.destroy();
  }
}

/** As f16, and an even number of them: what is written to a buffer must be whole words. */
function halves(values: Float32Array): Float16Array<ArrayBuffer> {
  const result = new Float16Array(values.length + values.length % 2);
  result.set(values);
  return result;
}

/** The mask of an idle slot: its one token sees itself, which is nothing. */
function hideAll(mask: Float32Array, own: number): void {
  mask.fill(HIDDEN);
  mask[own] = 0;
}
