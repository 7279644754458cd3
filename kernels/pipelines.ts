/**
 * Compute pipelines from WGSL files. A pipeline is compiled once for a source, an entry point and
 * the values of its `override` constants; whatever varies between uses is such a constant, never text
 * put into the source.
 *
 * @module
 */

/** What a pipeline is made from. */
export interface PipelineSource {
  /** The file's name without `.wgsl`: the pipeline's label, and what errors name. */
  readonly name: string;
  /** WGSL; files may be put one after another, for order does not matter to WGSL. */
  readonly code: string;
  /** The entry point; default `main`. */
  readonly entryPoint?: string;
  /** Values of the `override` constants, by name. */
  readonly constants?: Readonly<Record<string, number>>;
  /** What group 0 binds, where the layout that follows from the code will not do. */
  readonly bindings?: readonly GPUBindGroupLayoutEntry[];
}

/** The pipelines of one device. */
export class Pipelines {
  readonly device: GPUDevice;
  readonly #made = new Map<string, Promise<GPUComputePipeline>>();

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** How many pipelines there are. */
  get size(): number {
    return this.#made.size;
  }

  /**
   * How many invocations a workgroup has: the largest power of two that is neither over `most` nor over
   * the device's limits.
   *
   * @param options.storage bytes of workgroup memory that each invocation takes
   * @param options.shared bytes of workgroup memory that a workgroup takes besides
   */
  workgroupSize(
    most = 256,
    { storage = 0, shared = 0 }: { storage?: number; shared?: number } = {},
  ): number {
    const { limits } = this.device;
    const fitting = storage === 0
      ? most
      : Math.floor((limits.maxComputeWorkgroupStorageSize - shared) / storage);
    const bound = Math.min(
      most,
      fitting,
      limits.maxComputeInvocationsPerWorkgroup,
      limits.maxComputeWorkgroupSizeX,
    );
    if (bound < 1) {
      throw new RangeError(
        `Cannot fit a workgroup of ${shared} + ${storage} bytes into ${limits.maxComputeWorkgroupStorageSize}`,
      );
    }
    return 2 ** Math.floor(Math.log2(bound));
  }

  /**
   * The pipeline of a source, compiled if it is new.
   *
   * @throws {Error} if it cannot be compiled: with the file's name, the line and what is wrong with it.
   *
   * @example A mistake is shown with its line
   * ```ts
   * import { assertRejects } from "@std/assert";
   * import { Pipelines } from "./pipelines.ts";
   * const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
   * if (device) {
   *   const code = "@compute @workgroup_size(1)\nfn main() { let one: u32 = 1.5; }";
   *   const pipeline = new Pipelines(device).get({ name: "half_done", code });
   *   await assertRejects(() => pipeline, Error, "half_done.wgsl:2: fn main() { let one: u32 = 1.5; }");
   *   device.destroy();
   * }
   * ```
   */
  get(source: PipelineSource): Promise<GPUComputePipeline> {
    const key = keyOf(source);
    let pipeline = this.#made.get(key);
    if (pipeline === undefined) {
      pipeline = compile(this.device, source);
      this.#made.set(key, pipeline);
      pipeline.catch(() => this.#made.delete(key));
    }
    return pipeline;
  }
}

/**
 * Workgroups for at least so many invocations, as a grid of x · y. A shader finds its place by
 * `(workgroup_id.y * num_workgroups.x + workgroup_id.x) * size + local_invocation_index`.
 *
 * @param options.size invocations of a workgroup
 * @param options.limit the device's `maxComputeWorkgroupsPerDimension`
 * @throws {RangeError} if there are more than limit² workgroups.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { workgroupGrid } from "./pipelines.ts";
 * assertEquals(workgroupGrid(1000, { size: 64, limit: 65535 }), [16, 1]);
 * assertEquals(workgroupGrid(1000, { size: 64, limit: 10 }), [10, 2]);
 * ```
 */
export function workgroupGrid(
  invocations: number,
  { size, limit }: { size: number; limit: number },
): [x: number, y: number] {
  const groups = Math.ceil(invocations / size);
  const x = Math.min(groups, limit);
  const y = x === 0 ? 0 : Math.ceil(groups / x);
  if (y > limit) {
    throw new RangeError(
      `Cannot start ${groups} workgroups: a device takes ${limit} by ${limit}`,
    );
  }
  return [x, y];
}

function keyOf({ name, code, ...rest }: PipelineSource): string {
  const constants = Object.entries(rest.constants ?? {}).sort();
  return JSON.stringify([
    name,
    code,
    rest.entryPoint,
    constants,
    rest.bindings,
  ]);
}

async function compile(
  device: GPUDevice,
  source: PipelineSource,
): Promise<GPUComputePipeline> {
  const { name, code, constants } = source;
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: name, code });
  const [failed, info] = await Promise.all([
    device.popErrorScope(),
    module.getCompilationInfo(),
  ]);
  const errors = info.messages.filter(({ type }) => type === "error");
  if (errors.length > 0 || failed) {
    const told = errors.map((message) => describe(source, message));
    throw new Error(told.join("\n") || failed!.message);
  }
  const layout = explicitLayout(device, source);
  const compute: GPUProgrammableStage = {
    module,
    entryPoint: source.entryPoint ?? "main",
    ...(constants ? { constants: { ...constants } } : {}),
  };
  try {
    return await device.createComputePipelineAsync({
      label: name,
      layout,
      compute,
    });
  } catch (cause) {
    const values = JSON.stringify(constants ?? {});
    throw new Error(
      `Cannot make a pipeline of ${name}.wgsl with ${values}: ${
        (cause as Error).message
      }`,
      { cause },
    );
  }
}

function explicitLayout(
  device: GPUDevice,
  { name, bindings }: PipelineSource,
): GPUPipelineLayout | "auto" {
  if (bindings === undefined) return "auto";
  const entries = [...bindings];
  const group = device.createBindGroupLayout({ label: name, entries });
  return device.createPipelineLayout({
    label: name,
    bindGroupLayouts: [group],
  });
}

function describe(
  { name, code }: PipelineSource,
  { lineNum, message }: GPUCompilationMessage,
): string {
  const line = code.split("\n")[lineNum - 1]?.trim() ?? "";
  return `Cannot compile ${name}.wgsl:${lineNum}: ${line}\n${message.trim()}`;
}
