/** Finding a GPU. @module */

/** Which GPU, where there are several. */
export const GPU_PREFERENCES = ["high-performance", "low-power"] as const;

/** A value of `EVERSTREAM_GPU`. */
export type GpuPreference = typeof GPU_PREFERENCES[number];

/** What is used of `navigator.gpu`; replaced in tests. */
export type AdapterSource = Pick<GPU, "requestAdapter">;

/** An adapter, or why there is none and what to do. */
export type AdapterSearch =
  | { readonly adapter: GPUAdapter }
  | {
    readonly adapter: null;
    readonly problem: string;
    readonly advice: string;
  };

/**
 * Asks for an adapter. Each gives one device, by the standard: whoever opens a device asks anew.
 *
 * @param source `null` if this runtime has no WebGPU
 */
export async function findAdapter(
  preference: GpuPreference,
  source: AdapterSource | null = navigator.gpu ?? null,
): Promise<AdapterSearch> {
  if (!source) {
    return {
      adapter: null,
      problem: "this runtime has no WebGPU (navigator.gpu)",
      advice: "Run Deno with --unstable-webgpu, or with this project's " +
        "deno.json, which asks for it",
    };
  }
  const adapter = await source.requestAdapter({ powerPreference: preference });
  if (adapter) return { adapter };
  return {
    adapter: null,
    problem: "there is no GPU",
    advice: "Install the GPU's driver (Vulkan, Metal or DirectX 12), or, for " +
      "one in software, Mesa's (Debian's mesa-vulkan-drivers)",
  };
}

/** What an adapter calls itself. */
export function describeAdapter({ info }: GPUAdapter): string {
  return info.description || info.device || info.vendor;
}

/** Whether an adapter computes on the CPU (Mesa's llvmpipe, SwiftShader, WARP). */
export function isSoftware({ info }: GPUAdapter): boolean {
  const { description, device, vendor, isFallbackAdapter } = info;
  return isFallbackAdapter ||
    /llvmpipe|lavapipe|swiftshader|basic render|software/i.test(
      `${description} ${device} ${vendor}`,
    );
}
