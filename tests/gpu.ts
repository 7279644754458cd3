/** A harness for tests on a GPU: a device for each, whose errors are the test's, and which is destroyed after it. @module */
import { Pipelines } from "../kernels/pipelines.ts";

const adapter = await navigator.gpu?.requestAdapter();

/** Why there is no GPU, or `null` where there is one. Adapters in software count. */
export const absentReason: string | null = adapter
  ? null
  : "no WebGPU adapter was found (it needs --unstable-webgpu or this repository's deno.json)";
if (absentReason && Deno.env.get("EVERSTREAM_REQUIRE_GPU") === "1") {
  throw new Error(absentReason);
}
if (absentReason) console.warn(`No GPU test runs: ${absentReason}`);

/** What a test gets. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly pipelines: Pipelines;
}

/** What a test needs of its device. */
export interface GpuNeeds {
  /** Features without which the test is left out. */
  readonly needs?: readonly GPUFeatureName[];
  /** Limits other than the default ones. */
  readonly limits?: Readonly<Record<string, number>>;
}

/** A test on a device of its own. A validation error that nothing else captures fails it. */
export function gpuTest(
  name: string,
  run: (gpu: Gpu) => Promise<void> | void,
  needed: GpuNeeds = {},
): void {
  const missing = (needed.needs ?? [])
    .filter((feature) => !adapter?.features.has(feature));
  if (adapter && missing.length > 0) {
    console.warn(`Left out for want of ${missing.join(", ")}: ${name}`);
  }
  Deno.test({
    name,
    ignore: absentReason !== null || missing.length > 0,
    fn: () => withDevice(run, needed),
  });
}

/**
 * Runs something on a device of its own, which is destroyed after it.
 *
 * @throws {Error} what `run` throws; or its validation error, of which that is the cause.
 */
export async function withDevice(
  run: (gpu: Gpu) => Promise<void> | void,
  { needs = [], limits = {} }: GpuNeeds = {},
): Promise<void> {
  // By the standard, an adapter gives one device.
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice({
    requiredFeatures: [...needs],
    requiredLimits: limits,
  });
  try {
    device.pushErrorScope("validation");
    const thrown = await settle(() =>
      run({ device, pipelines: new Pipelines(device) })
    );
    const invalid = await device.popErrorScope();
    if (invalid) throw new Error(invalid.message, { cause: thrown?.error });
    if (thrown) throw thrown.error;
  } finally {
    device.destroy();
    await device.lost;
  }
}

/** What it throws, or `null`. */
async function settle(
  run: () => Promise<void> | void,
): Promise<{ error: unknown } | null> {
  try {
    await run();
    return null;
  } catch (error) {
    return { error };
  }
}

/** A storage buffer with these contents, that can be copied from and to. */
export function upload(
  device: GPUDevice,
  data: ArrayBufferView<ArrayBuffer>,
): GPUBuffer {
  const { COPY_DST, COPY_SRC, STORAGE } = GPUBufferUsage;
  const bytes = new Uint8Array(Math.max(4, Math.ceil(data.byteLength / 4) * 4));
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const buffer = device.createBuffer({
    size: bytes.length,
    usage: STORAGE | COPY_SRC | COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, bytes);
  return buffer;
}

/** The bytes of a buffer. */
export async function download(
  device: GPUDevice,
  buffer: GPUBuffer,
): Promise<ArrayBuffer> {
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  const { size } = buffer;
  const copy = device.createBuffer({ size, usage: COPY_DST | MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const bytes = copy.getMappedRange().slice(0);
  copy.destroy();
  return bytes;
}
