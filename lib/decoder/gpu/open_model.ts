/** Opening a model on a GPU, with as many slots as it is asked for or a word on how many fit. @module */
import type { CacheTensor } from "../../cache/layout.ts";
import { type Gpu, GpuLostError } from "../../engine/gpu.ts";
import { claimParts, type GpuModelSource } from "./claim_parts.ts";
import { GpuModel } from "./gpu_model.ts";
import { bankRows, bankSlots, type GpuSize, stageRows } from "./gpu_size.ts";

/** Opens a device; called again when one is lost. */
export type OpenGpu = () => Promise<Gpu>;

/**
 * Opens a device and the model on it.
 *
 * @throws {Error} if there is no device, the graph does not open, or memory is too small: it says how
 * many slots fit
 */
export async function openGpuModel(
  open: OpenGpu,
  source: GpuModelSource,
  size: GpuSize,
): Promise<GpuModel> {
  try {
    return await openOnce(open, source, size);
  } catch (error) {
    if (size.slots === 1 || error instanceof GpuLostError) throw error;
    const fit = await slotsThatFit(open, source, size);
    if (fit === 0) throw error;
    throw new Error(
      `Cannot keep ${size.slots} slots on the GPU: ${fit} fit. Set EVERSTREAM_MEMORY to that share ` +
        `of what it is, or make EVERSTREAM_WINDOW smaller`,
      { cause: error },
    );
  }
}

async function openOnce(
  open: OpenGpu,
  source: GpuModelSource,
  size: GpuSize,
): Promise<GpuModel> {
  const gpu = await open();
  try {
    const [tensor] = source.plan.attention.tensors(0) as [CacheTensor];
    const most = gpu.device.limits.maxStorageBufferBindingSize;
    const perBank = bankSlots(size, tensor, most);
    const parts = await claimParts(gpu, source, {
      slots: size.slots,
      bankSlots: perBank,
      rows: bankRows(size, perBank),
      stageRows: stageRows(size),
      element: size.element,
    });
    return new GpuModel(gpu, parts);
  } catch (error) {
    gpu.release();
    throw error;
  }
}

/** The most slots with which the model opens, found by halving; 0 if none. */
async function slotsThatFit(
  open: OpenGpu,
  source: GpuModelSource,
  size: GpuSize,
): Promise<number> {
  let [fit, fail] = [0, size.slots];
  while (fail - fit > 1) {
    const slots = Math.floor((fit + fail) / 2);
    if (await opens(open, source, { ...size, slots })) fit = slots;
    else fail = slots;
  }
  return fit;
}

async function opens(
  open: OpenGpu,
  source: GpuModelSource,
  size: GpuSize,
): Promise<boolean> {
  try {
    const model = await openOnce(open, source, size);
    await model.release();
    return true;
  } catch {
    return false;
  }
}
