/**
 * Opens decoders of small models, and compares logits.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type SlotLayout, windowRows } from "../../lib/cache/layout.ts";
import type { Decoder } from "../../lib/decoder/decoder.ts";
import type { GpuDecoder } from "../../lib/decoder/gpu_decoder.ts";
import { HostDecoder } from "../../lib/decoder/host_decoder.ts";
import {
  openGpuDecoder,
  openHostModel,
} from "../../lib/decoder/open_decoder.ts";
import type { Engine } from "../../lib/engine/engine.ts";
import {
  type RowFormats,
  rowFormats,
} from "../../lib/graph/attention/row_formats.ts";
import { Gpu } from "../../lib/engine/gpu.ts";
import { GpuSession } from "../../lib/engine/gpu_session.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import type { RowBits, RowDefinition } from "../reference/row_reference.ts";
import type { SmallModel } from "../reference/small_model.ts";
import { RecordingSession } from "./recording_session.ts";

/** How a decoder is opened. */
export interface OpenOptions {
  /** The tail is the engine's. */
  readonly layout: Omit<SlotLayout, "tailRows">;
  readonly slots?: number;
  readonly chunk?: number;
}

/** A decoder that frees its session when disposed of. */
export type OpenDecoder<D extends Decoder = Decoder> = D & AsyncDisposable;

/** What a test sees, and does, between a decoder and its engine. */
export interface Faults {
  /** Runs so far that reached the engine. */
  runs: number;
  /** The next runs fail, after this many that do not. */
  failAfter: number;
}

/** How rows are kept in host memory. */
export interface TestedRows {
  readonly formats: RowFormats;
  /** As a server has it, unless told. */
  readonly tailRows?: number;
}

/** An engine under test. */
export interface TestedEngine {
  /** For the tests' names. */
  readonly name: string;
  /** How rows are kept, for the reference; exactly, if nothing is said. */
  readonly rows?: RowDefinition;
  /** Opens a small model, with room for any chunk unless told otherwise. */
  open(
    model: SmallModel,
    options: OpenOptions,
  ): Promise<{ decoder: OpenDecoder; faults: Faults }>;
}

/** Just the decoder. */
export async function openDecoder(
  engine: TestedEngine,
  model: SmallModel,
  options: OpenOptions,
): Promise<OpenDecoder> {
  return (await engine.open(model, options)).decoder;
}

/** An engine whose caches are in host memory, with rows of f32 unless told otherwise. */
export function hostEngine(
  engine: Engine,
  rows?: Required<TestedRows>,
): TestedEngine {
  return {
    name: rows ? `${engine.name} (${rows.formats.name})` : engine.name,
    ...rows ? { rows: definitionOf(rows) } : {},
    async open(model, options) {
      const recorded = await openRecorded(engine, model, { ...options, rows });
      return { decoder: recorded.decoder, faults: recorded.session };
    },
  };
}

function definitionOf(
  { formats, tailRows }: Required<TestedRows>,
): RowDefinition {
  const bits = { f32: 32, int16: 16, int8: 8, int4: 4 } as const;
  const of = (name: keyof typeof bits): RowBits => bits[name];
  return {
    keys: (layer) => of(formats.keys(layer).name),
    values: (layer) => of(formats.values(layer).name),
    tailRows,
  };
}

/** The GPU, whatever adapter there is, with rows of f32 or f16. */
export function gpuEngine(rows: "f32" | "f16"): TestedEngine {
  return {
    name: `webgpu (${rows})`,
    open: (model, options) => openSmallGpuDecoder(model, { ...options, rows }),
  };
}

/** Opens a small model on a GPU; `gpu` gives the device that is in use. */
export async function openSmallGpuDecoder(
  model: SmallModel,
  { layout, slots = 1, chunk = 512, rows }: OpenOptions & {
    rows: "f32" | "f16";
  },
): Promise<
  { decoder: OpenDecoder<GpuDecoder>; faults: Faults; gpu: () => Gpu }
> {
  using file = await openGguf(model.path);
  const source = { file, sha256: model.sha256, graphs: model.directory };
  const room = {
    sinks: layout.sinkRows,
    window: windowRows(layout),
    slots,
    chunk,
  };
  const faults = { runs: 0, failAfter: Infinity };
  let gpu!: Gpu;
  const decoder = await openGpuDecoder(source, room, {
    gpu: "high-performance",
    gpuRows: rows,
    openGpu: async (options) => gpu = await Gpu.open(options),
    async openSession(gpu, graph) {
      const session = await GpuSession.open(gpu, graph);
      return {
        tensor: (...of) => session.tensor(...of),
        scalar: (value) => session.scalar(value),
        shape: (values) => session.shape(values),
        release: () => session.release(),
        async run(inputs, outputs) {
          if (faults.failAfter-- <= 0) {
            throw new Error("engine failed on purpose");
          }
          faults.runs++;
          await session.run(inputs, outputs);
        },
      };
    },
  });
  return { decoder: disposable(decoder), faults, gpu: () => gpu };
}

/** Opens a small model on an engine through a session that remembers what it is given. */
export async function openRecorded(
  engine: Engine,
  model: SmallModel,
  { layout, slots = 1, chunk = 4096, rows }: OpenOptions & {
    rows?: TestedRows | undefined;
  },
): Promise<{ decoder: OpenDecoder<HostDecoder>; session: RecordingSession }> {
  using file = await openGguf(model.path);
  const source = { file, sha256: model.sha256, graphs: model.directory };
  const blocks = layout.blocks.length;
  const formats = rowFormats(32, engine);
  const shape = { blocks, threads: 1, formats, ...rows };
  const opened = await openHostModel(engine, source, shape);
  const { tailRows } = opened.plan.attention;
  const session = new RecordingSession(opened.session);
  const decoder = new HostDecoder({ ...opened, session }, {
    layout: { ...layout, tailRows },
    slots,
    chunk,
  });
  return { decoder: disposable(decoder), session };
}

function disposable<D extends Decoder>(decoder: D): OpenDecoder<D> {
  return Object.assign(decoder, {
    [Symbol.asyncDispose]: () => decoder.release(),
  });
}

/**
 * Appends tokens in chunks of `size`, each cut to the decoder's limit; gives the logits of each token.
 *
 * @param options.boundaries positions of the conversation at which messages begin
 */
export async function appendAll(
  decoder: Decoder,
  tokens: readonly number[],
  options: { size: number; slot?: number; boundaries?: readonly number[] },
): Promise<Float32Array[]> {
  const { size, slot = 0, boundaries = [] } = options;
  const logits: Float32Array[] = [];
  for (let at = 0; at < tokens.length;) {
    const chunk = tokens.slice(
      at,
      at + Math.min(size, decoder.limit(slot)),
    );
    const [rows] = await decoder.run([{
      slot,
      tokens: chunk,
      starts: startsAmong(boundaries, decoder.seen(slot), chunk.length),
      logits: chunk.length,
    }]);
    for (let t = 0; t < chunk.length; t++) {
      logits.push(
        rows!.subarray(t * decoder.vocabulary, (t + 1) * decoder.vocabulary),
      );
    }
    at += chunk.length;
  }
  return logits;
}

/** Which of `count` tokens behind `seen` ones begin messages, by index. */
export function startsAmong(
  boundaries: readonly number[],
  seen: number,
  count: number,
): number[] {
  return boundaries.filter((start) => start >= seen && start < seen + count)
    .map((start) => start - seen);
}

/** Largest difference between two lists of logits. */
export function largestDifference(
  a: readonly ArrayLike<number>[],
  b: readonly ArrayLike<number>[],
): number {
  let most = 0;
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i]!, b[i]!];
    for (let j = 0; j < Math.max(x.length, y.length); j++) {
      const difference = Math.abs(x[j]! - y[j]!);
      if (!(difference <= most)) most = difference;
      if (Number.isNaN(most)) return NaN;
    }
  }
  return most;
}

/** Root mean square of the difference of two lists of logits. */
export function rmsDifference(
  a: readonly ArrayLike<number>[],
  b: readonly ArrayLike<number>[],
): number {
  const squares = a.flatMap((x, i) =>
    Array.from(x, (value, j) => (value - b[i]![j]!) ** 2)
  );
  return Math.sqrt(squares.reduce((sum, x) => sum + x, 0) / squares.length);
}

/**
 * Throws unless all logits are within `tolerance`; those of tokens for which `null` is expected may be any.
 */
export function assertLogits(
  actual: readonly ArrayLike<number>[],
  expected: readonly (ArrayLike<number> | null)[],
  tolerance: number,
  what = "logits",
): void {
  assertEquals(actual.length, expected.length);
  const known = expected.map((logits, i) => logits ?? actual[i]!);
  const most = largestDifference(actual, known);
  if (Deno.env.has("EVERSTREAM_SHOW_ERRORS")) {
    console.log(`${what}: off by ${most.toExponential(1)}`);
  }
  assert(
    most <= tolerance,
    `${what}: off by ${most}, at most ${tolerance} is rounding`,
  );
}
