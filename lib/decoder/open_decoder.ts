/** From a model's file to a decoder on an engine. @module */
import { attendable, loadKernel } from "../attend/load_kernel.ts";
import {
  blockCount,
  conversationBytes,
  layerCaches,
  slotLayout,
} from "../cache/layout.ts";
import type { CacheFormat } from "../cache/cache_format.ts";
import type { GpuPreference } from "../engine/adapter.ts";
import type { Engine, EngineName, SessionOptions } from "../engine/engine.ts";
import { Gpu } from "../engine/gpu.ts";
import { gpuWithHostCaches } from "../engine/gpu_host.ts";
import { chooseRows, type GpuRowsChoice } from "../engine/gpu_element.ts";
import { type GpuGraph, GpuSession } from "../engine/gpu_session.ts";
import { NATIVE } from "../engine/native.ts";
import { WASM } from "../engine/wasm.ts";
import { FusedGroupedQueryAttention } from "../graph/attention/fused_grouped_query.ts";
import { Attended, attentionGraph } from "../graph/attention/attended.ts";
import {
  GroupedQueryAttention,
  type RingShape,
} from "../graph/attention/grouped_query.ts";
import { rowFormats } from "../graph/attention/row_formats.ts";
import {
  type DecoderGraph,
  openDecoderGraph,
  planDecoder,
} from "../graph/convert.ts";
import type { LinearLowering } from "../graph/linear.ts";
import type { GgufFile } from "../weights/gguf.ts";
import type { Decoder } from "./decoder.ts";
import { EmbeddingTable } from "./embedding_table.ts";
import { fittingSlots } from "./fitting_slots.ts";
import { type GpuSize, slotsIn } from "./gpu/gpu_size.ts";
import { GpuDecoder } from "./gpu_decoder.ts";
import {
  LayeredDecoder,
  type LayeredRoom,
  LayeredSizes,
} from "./layered_decoder.ts";
import { HostDecoder, type HostModel } from "./host_decoder.ts";
import type { AttentionModel } from "./outside_attention.ts";

/** A model's file, and where its graphs are kept. */
export interface ModelSource {
  readonly file: GgufFile;
  /** Of the file, hexadecimal. */
  readonly sha256: string;
  /** Directory of converted graphs. */
  readonly graphs: string;
}

/** What a decoder is to have room for. */
export interface DecoderRoom {
  /** Most sinks of a conversation. */
  readonly sinks: number;
  /** Tokens of its window. */
  readonly window: number;
  /** How many slots, or the bytes that decide it. */
  readonly slots: number | { readonly memory: number };
  /** How caches are kept; by default in the engine's own precision. */
  readonly format?: CacheFormat;
  /** Layers that are lazy, if the format is layered; by default half of them. */
  readonly lazyLayers?: number;
  /** Layers that are never lazy; by default none. */
  readonly keptLayers?: readonly number[];
}

/** How engines are set up. */
export interface EngineOptions extends SessionOptions {
  readonly gpu: GpuPreference;
  readonly gpuRows: GpuRowsChoice;
}

/** How a GPU is opened. */
export interface GpuSetup extends Pick<EngineOptions, "gpu" | "gpuRows"> {
  /** Replaced in tests. */
  readonly openGpu?: typeof Gpu.open;
  /** Replaced in tests. */
  readonly openSession?: (gpu: Gpu, graph: DecoderGraph) => Promise<GpuGraph>;
}

/** Tokens of a prompt that one run on a GPU takes. */
const GPU_CHUNK = 64;
const GPU_LINEAR: LinearLowering = { kind: "dispatches" };

/**
 * Opens a decoder, converting the model if this is the first time.
 *
 * @throws {RangeError} if not even one slot fits the memory
 * @throws {Error} if the engine cannot run the model here
 */
export async function openDecoder(
  engine: EngineName,
  source: ModelSource,
  room: DecoderRoom,
  options: EngineOptions,
): Promise<Decoder> {
  if (engine !== "webgpu") {
    return await openHostDecoder(hostEngine(engine), source, room, options);
  }
  const { kvBits = null, layered = false } = room.format ?? {};
  if (layered || kvBits === 8 || kvBits === 4) {
    const gpu = gpuWithHostCaches(options.gpu);
    return await openHostDecoder(gpu, source, room, options);
  }
  // 32 stands for the precision that the GPU computes in, as the operator chose it.
  const gpuRows = kvBits === 16 ? "f16" : options.gpuRows;
  return await openGpuDecoder(source, room, { ...options, gpuRows });
}

/** The engine whose caches are in host memory, by name. */
export function hostEngine(name: Exclude<EngineName, "webgpu">): Engine {
  return name === "native" ? NATIVE : WASM;
}

/** Opens the graph for rings of some shape. */
export async function openHostModel(
  engine: Engine,
  { file, sha256, graphs }: ModelSource,
  { threads, ownThread, ...rings }: RingShape & SessionOptions,
): Promise<HostModel> {
  const plan = await planDecoder(
    file,
    (shape) => new GroupedQueryAttention(shape, rings),
  );
  const options = { threads, ownThread };
  const outside = await openAttention(engine, plan, options);
  const attention = outside
    ? new Attended(plan.shape, plan.attention)
    : plan.attention;
  const of = { file, plan: { ...plan, attention }, sha256 };
  const graph = await openDecoderGraph(of, engine.linear, graphs);
  const [session, embeddings] = await Promise.all([
    engine.open(graph, { ...options, attends: outside !== null }),
    EmbeddingTable.read(file, plan.family.embedding),
  ]);
  engine.settle?.();
  const { inPlace } = engine;
  const attends = outside ? { attention: outside } : {};
  return { plan, session, embeddings, inPlace, ...attends };
}

/** What attends outside of the graph, where an engine allows it and there is a kernel for the rows. */
async function openAttention(
  engine: Engine,
  { shape, attention }: HostModel["plan"],
  options: SessionOptions,
): Promise<AttentionModel | null> {
  const attends = attention.attended && attendable(shape);
  if (!attends || !engine.openDirect) return null;
  const graph = attentionGraph(shape, attention);
  const [session, kernel] = await Promise.all([
    engine.openDirect(graph.model, { ...options, attends: true }),
    loadKernel(shape),
  ]);
  return { kernel, graph, session };
}

async function openHostDecoder(
  engine: Engine,
  source: ModelSource,
  room: DecoderRoom,
  { threads, ownThread }: EngineOptions,
): Promise<Decoder> {
  const of = { ...ringShape(room, engine), threads, ownThread };
  const model = await openHostModel(engine, source, of);
  return hostDecoder(model, room, engine);
}

/** How the rings of a graph for such a room are. */
export function ringShape(
  { window, format }: Pick<DecoderRoom, "window" | "format">,
  engine: Pick<Engine, "products">,
): Required<Omit<RingShape, "tailRows">> {
  const { kvBits = 32, layered = false } = format ?? {};
  const blocks = blockCount(window, kvBits);
  // A layered cache's window is not one slot's, as the kernel takes it.
  const products = layered && engine.products === "attended"
    ? "integers"
    : engine.products;
  return { blocks, formats: rowFormats(kvBits, { products }), layered };
}

/**
 * A decoder on a graph that is open, of the room's {@linkcode ringShape}.
 *
 * @throws {RangeError} if not even one slot fits the memory
 */
export function hostDecoder(
  model: HostModel,
  { sinks, window, slots, format, ...room }: DecoderRoom,
  { chunk }: Pick<Engine, "chunk">,
): Decoder {
  if (format?.layered) {
    const { layers } = model.plan.shape;
    const { lazyLayers = Math.floor(layers / 2), keptLayers = [] } = room;
    const of = { sinks, window, lazyLayers, keptLayers, chunk };
    const count = typeof slots === "number"
      ? slots
      : slotsBesideStage(slots.memory, model, of);
    return new LayeredDecoder(model, { ...of, slots: count });
  }
  const layout = slotLayout(sinks, window, model.plan.attention);
  return new HostDecoder(model, {
    layout,
    slots: typeof slots === "number" ? slots : fittingSlots(
      slots.memory,
      conversationBytes(layerCaches(model.plan, layout)),
      { sinks, window },
    ),
    chunk,
  });
}

/** Opens a decoder on a GPU, whatever adapter there is. */
export async function openGpuDecoder(
  { file, sha256, graphs }: ModelSource,
  { sinks, window, slots, chunk = GPU_CHUNK }: DecoderRoom & { chunk?: number },
  {
    gpu: preference,
    gpuRows,
    openGpu = Gpu.open,
    openSession = GpuSession.open,
  }: GpuSetup,
): Promise<GpuDecoder> {
  let first: Gpu | null = await openGpu({ preference });
  const element = chooseRows(gpuRows, first);
  const plan = await planDecoder(
    file,
    (shape) =>
      new FusedGroupedQueryAttention(
        shape,
        element === "f16" ? "float16" : "float32",
      ),
  );
  const size: Omit<GpuSize, "slots"> = { sinks, window, chunk, element };
  const count = typeof slots === "number"
    ? slots
    : slotsIn(slots.memory, size, plan);
  const graph = await openDecoderGraph(
    { file, plan, sha256 },
    GPU_LINEAR,
    graphs,
  );
  const embeddings = await EmbeddingTable.read(file, plan.family.embedding);
  const open = () => {
    const gpu = first;
    first = null;
    return gpu ? Promise.resolve(gpu) : openGpu({ preference });
  };
  const model = {
    openSession: (gpu: Gpu) => openSession(gpu, graph),
    plan,
    embeddings,
  };
  return await GpuDecoder.open(open, model, { ...size, slots: count });
}

/**
 * Slots that fit a memory together with the stage.
 *
 * @throws {RangeError} if not even one does
 */
function slotsBesideStage(
  memory: number,
  model: HostModel,
  room: Omit<LayeredRoom, "slots">,
): number {
  const { slotBytes, stageBytes } = new LayeredSizes(model, {
    ...room,
    slots: 1,
  });
  return fittingSlots(memory - stageBytes, slotBytes, room);
}
