/** Which engine a server uses, and why. @module */
import {
  type AdapterSearch,
  describeAdapter,
  findAdapter,
  type GpuPreference,
  isSoftware,
} from "./adapter.ts";
import { ENGINE_NAMES, type EngineName } from "./engine.ts";
import { openOrtApi } from "./native/ort_api.ts";

/** What the operator asks for. */
export type EngineChoice = "auto" | EngineName;

/** Values of `EVERSTREAM_ENGINE`. */
export const ENGINE_CHOICES = ["auto", ...ENGINE_NAMES] as const;

/** An engine and the reason for it, for the log. */
export interface ChosenEngine {
  readonly engine: EngineName;
  readonly reason: string;
}

/** What the choice is made from; replaced in tests. */
export interface Machine {
  /** A GPU adapter, or why there is none. */
  adapter(preference: GpuPreference): Promise<AdapterSearch>;
  /** Why the native library cannot be loaded, `null` if it can. */
  nativeProblem(): Promise<string | null>;
}

/** How to choose; each has a default. */
export interface ChooseOptions {
  /** Which GPU to look at. Default: high-performance. */
  readonly preference?: GpuPreference;
  readonly machine?: Machine;
}

/**
 * Chooses an engine: the one asked for; for `auto` a hardware GPU, else the native library, else
 * WebAssembly.
 *
 * @throws {Error} if the engine asked for cannot run here.
 */
export async function chooseEngine(
  choice: EngineChoice,
  { preference = "high-performance", machine = THIS_MACHINE }: ChooseOptions =
    {},
): Promise<ChosenEngine> {
  if (choice === "webgpu") {
    const found = await machine.adapter(preference);
    if (!found.adapter) throw unusable(choice, found.problem, found.advice);
  }
  if (choice === "native") {
    const problem = await machine.nativeProblem();
    if (problem) throw unusable(choice, problem);
  }
  return choice === "auto"
    ? await chooseForMachine(preference, machine)
    : { engine: choice, reason: `EVERSTREAM_ENGINE=${choice}` };
}

async function chooseForMachine(
  preference: GpuPreference,
  machine: Machine,
): Promise<ChosenEngine> {
  const found = await machine.adapter(preference);
  if (found.adapter && !isSoftware(found.adapter)) {
    const reason = `found GPU "${describeAdapter(found.adapter)}"`;
    return { engine: "webgpu", reason };
  }
  const noGpu = found.adapter
    ? `"${describeAdapter(found.adapter)}" is a software GPU`
    : found.problem;
  const problem = await machine.nativeProblem();
  return problem === null
    ? { engine: "native", reason: noGpu }
    : { engine: "wasm", reason: `${noGpu} and ${problem}` };
}

function unusable(
  name: EngineName,
  problem: string,
  ...advice: string[]
): Error {
  return new Error([
    `Cannot use engine "${name}": ${problem}`,
    ...advice,
    "Set EVERSTREAM_ENGINE=auto to use another",
  ].join(". "));
}

const THIS_MACHINE: Machine = {
  adapter: (preference) => findAdapter(preference),
  async nativeProblem() {
    try {
      await openOrtApi();
      return null;
    } catch (error) {
      return `ONNX Runtime's native library cannot be opened (${
        (error as Error).message.split("\n")[0]
      })`;
    }
  },
};
