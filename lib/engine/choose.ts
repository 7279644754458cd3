/** Which engine a server uses, and why. @module */
import { type Engine, ENGINE_NAMES, type EngineName } from "./engine.ts";
import { NATIVE } from "./native.ts";
import { WASM, WEBGPU } from "./web.ts";

const ENGINES: Record<EngineName, Engine> = {
  webgpu: WEBGPU,
  native: NATIVE,
  wasm: WASM,
};

/** What the operator asks for. */
export type EngineChoice = "auto" | EngineName;

/** Values of `EVERSTREAM_ENGINE`. */
export const ENGINE_CHOICES = ["auto", ...ENGINE_NAMES] as const;

/** An engine and the reason for it, for the log. */
export interface ChosenEngine {
  readonly engine: Engine;
  readonly reason: string;
}

/** What the choice is made from; replaced in tests. */
export interface Machine {
  /** A GPU adapter, `null` if there is none. */
  adapter(): Promise<GPUAdapter | null>;
  /** Why the native library cannot be loaded, `null` if it can. */
  nativeProblem(): Promise<string | null>;
}

/**
 * Chooses an engine: the one asked for; for `auto` a hardware GPU, else the native library, else
 * WebAssembly.
 *
 * @throws {Error} if the engine asked for cannot run here.
 */
export async function chooseEngine(
  choice: EngineChoice,
  machine: Machine = THIS_MACHINE,
): Promise<ChosenEngine> {
  if (choice !== "auto") {
    const problem = await problemOf(choice, machine);
    if (problem) {
      throw new Error(
        `Cannot use engine "${choice}": ${problem}. Set EVERSTREAM_ENGINE=auto to use another`,
      );
    }
    return { engine: ENGINES[choice], reason: `EVERSTREAM_ENGINE=${choice}` };
  }
  const adapter = await machine.adapter();
  if (adapter && !isSoftware(adapter)) {
    return { engine: WEBGPU, reason: `found GPU "${describe(adapter)}"` };
  }
  const noGpu = adapter
    ? `"${describe(adapter)}" is a software GPU`
    : "there is no GPU";
  const problem = await machine.nativeProblem();
  return problem === null
    ? { engine: NATIVE, reason: noGpu }
    : { engine: WASM, reason: `${noGpu} and ${problem}` };
}

async function problemOf(
  name: EngineName,
  machine: Machine,
): Promise<string | null> {
  switch (name) {
    case "webgpu":
      return await machine.adapter() ? null : "no GPU adapter was found";
    case "native":
      return await machine.nativeProblem();
    case "wasm":
      return null;
  }
}

const THIS_MACHINE: Machine = {
  async adapter() {
    return await navigator.gpu?.requestAdapter({
      powerPreference: "high-performance",
    }) ?? null;
  },
  async nativeProblem() {
    try {
      await import("onnxruntime-node");
      return null;
    } catch (error) {
      return `onnxruntime-node cannot be loaded (${
        (error as Error).message.split("\n")[0]
      })`;
    }
  },
};

function describe(adapter: GPUAdapter): string {
  const { description, device, vendor } = adapter.info;
  return description || device || vendor;
}

/** Whether an adapter computes on the CPU (Mesa's llvmpipe, SwiftShader, WARP). */
export function isSoftware(adapter: GPUAdapter): boolean {
  const { description, device, vendor, isFallbackAdapter } = adapter.info;
  return isFallbackAdapter ||
    /llvmpipe|lavapipe|swiftshader|basic render|software/i.test(
      `${description} ${device} ${vendor}`,
    );
}
