/** Opens a model's graph on a device, and claims all memory that it will ever use there. @module */
import type { GpuRows } from "../../cache/gpu_rows.ts";
import type { CacheTensor } from "../../cache/layout.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { GpuGraph } from "../../engine/gpu_session.ts";
import type { DecoderPlan } from "../../graph/convert.ts";
import type { Element } from "../../../kernels/element.ts";
import { Pipelines } from "../../../kernels/pipelines.ts";
import { SampleKernel } from "../../../kernels/sample.ts";
import { SlotCopy } from "../../../kernels/slot_copy.ts";
import type { EmbeddingTable } from "../embedding_table.ts";
import { AngleTable } from "../angle_table.ts";
import type { GpuModelParts } from "./gpu_model.ts";
import { Reader } from "./reader.ts";
import { RunBuffers } from "./run_buffers.ts";
import { SlotBank } from "./slot_bank.ts";

/** What a model is made of, on any device. */
export interface GpuModelSource {
  /** Opens the graph on a device. */
  readonly openSession: (gpu: Gpu) => Promise<GpuGraph>;
  readonly plan: DecoderPlan;
  readonly embeddings: EmbeddingTable;
}

/** How much of it there is. */
export interface GpuModelSize {
  readonly slots: number;
  /** Slots of a bank at most. */
  readonly bankSlots: number;
  /** Rows of a slot in a bank, and of the stage; `copies` of the stage is what a chunk past capacity may have. */
  readonly rows: GpuRows;
  readonly stageRows: GpuRows;
  readonly element: Element;
}

/** Changes of logits that have room at first. */
const CHANGES = 1024;

/**
 * Opens the graph and claims all memory.
 *
 * @throws {Error} if the device has not enough of it, or the graph does not open; all is freed then.
 */
export async function claimParts(
  gpu: Gpu,
  source: GpuModelSource,
  size: GpuModelSize,
): Promise<GpuModelParts> {
  const { plan, embeddings } = source;
  const session = await source.openSession(gpu);
  try {
    return await gpu.checked("claim the memory of all slots", async () => {
      const { element, rows, stageRows, bankSlots } = size;
      const { shape, attention } = plan;
      const angles = new AngleTable(shape);
      const tensors = attention.tensors(0);
      const bankShape = { layers: shape.layers, tensors, element, angles };
      const on = { gpu, session, pipelines: new Pipelines(gpu.device) };
      const claim = (purpose: "caches" | "scratch", slots: number) =>
        SlotBank.claim(on, bankShape, {
          purpose,
          slots,
          rows: purpose === "caches" ? rows : stageRows,
          moves: purpose === "caches"
            ? slots * (1 + rows.sinks)
            : stageRows.spare + stageRows.copies * rows.sinks,
        });
      const banks: SlotBank[] = [];
      for (let first = 0; first < size.slots; first += bankSlots) {
        const slots = Math.min(bankSlots, size.slots - first);
        banks.push(await claim("caches", slots));
      }
      const stage = await claim("scratch", 1);
      const runs = new RunBuffers({
        gpu,
        session,
        shape,
        embeddings,
        angles,
        element,
      }, {
        steps: { lanes: banks[0]!.slots, rows },
        chunk: { tokens: stageRows.spare, rows: stageRows },
      });
      const { logits, most } = runs;
      const { vocabulary } = shape;
      const [{ heads, width }] = tensors as [CacheTensor];
      const { pipelines } = on;
      return {
        session,
        shape: bankShape,
        vocabulary,
        banks,
        stage,
        runs,
        reader: new Reader(gpu, "landing_logits", most * vocabulary * 4),
        passing: new Reader(
          gpu,
          "landing_copies",
          stage.bytesOf(rows.sinks + rows.window),
        ),
        sample: await SampleKernel.create(pipelines, {
          logits,
          rows: most,
          vocabulary,
          changes: CHANGES,
        }),
        copy: await SlotCopy.create(pipelines, { heads, width, element }),
      };
    });
  } catch (error) {
    await session.release().catch(() => {});
    throw error;
  }
}
