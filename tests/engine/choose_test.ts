import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  findAdapter,
  type GpuPreference,
  isSoftware,
} from "../../lib/engine/adapter.ts";
import {
  chooseEngine,
  type ChooseOptions,
  ENGINE_CHOICES,
} from "../../lib/engine/choose.ts";

const NO_LIBRARY =
  "ONNX Runtime's native library cannot be opened (no such file)";

function adapter(info: Partial<GPUAdapterInfo>): GPUAdapter {
  const empty = { vendor: "", architecture: "", device: "", description: "" };
  return {
    info: { ...empty, isFallbackAdapter: false, ...info },
  } as GPUAdapter;
}

const HARDWARE = adapter({
  vendor: "nvidia",
  device: "2330",
  description: "NVIDIA H100",
});

const SOFTWARE: Record<string, GPUAdapter> = {
  llvmpipe: adapter({
    vendor: "65541",
    description: "llvmpipe (LLVM 20.1.2, 256 bits)",
  }),
  SwiftShader: adapter({ description: "SwiftShader Device (Subzero)" }),
  "SwiftShader by vendor": adapter({ vendor: "google", device: "SwiftShader" }),
  WARP: adapter({ description: "Microsoft Basic Render Driver" }),
  "a fallback adapter": adapter({
    description: "Something",
    isFallbackAdapter: true,
  }),
};

/** A machine that remembers what it was asked. */
function machine(gpu: GPUAdapter | null, nativeProblem: string | null = null) {
  const asked: string[] = [];
  return {
    asked,
    machine: {
      adapter: (preference: GpuPreference) => {
        asked.push(preference);
        return findAdapter(preference, {
          requestAdapter: () => Promise.resolve(gpu),
        });
      },
      nativeProblem: () =>
        Promise.resolve((asked.push("native"), nativeProblem)),
    },
  } satisfies ChooseOptions & { asked: string[] };
}

Deno.test("auto takes a hardware GPU, and says which", async () => {
  const here = machine(HARDWARE);
  const { engine, reason } = await chooseEngine("auto", here);
  assertEquals([engine, reason], ["webgpu", 'found GPU "NVIDIA H100"']);
  assertEquals(here.asked, ["high-performance"]); // the native library is not loaded for nothing
});

Deno.test("an adapter without a description is named by what it has", async () => {
  const reasonOf = async (info: Partial<GPUAdapterInfo>) =>
    (await chooseEngine("auto", machine(adapter(info)))).reason;
  assertEquals(
    await reasonOf({ vendor: "apple", device: "m2" }),
    'found GPU "m2"',
  );
  assertEquals(await reasonOf({ vendor: "apple" }), 'found GPU "apple"');
});

for (const [name, gpu] of Object.entries(SOFTWARE)) {
  Deno.test(`auto takes no GPU in software (${name}): the native library instead`, async () => {
    assertEquals(isSoftware(gpu), true);
    const { engine, reason } = await chooseEngine("auto", machine(gpu));
    assertEquals(engine, "native");
    assertStringIncludes(reason, "is a software GPU");
    assertStringIncludes(reason, gpu.info.description || gpu.info.device);
  });
}

Deno.test("auto without a GPU takes the native library, without that WebAssembly, and says why", async () => {
  const native = await chooseEngine("auto", machine(null));
  assertEquals([native.engine, native.reason], [
    "native",
    "there is no GPU",
  ]);
  const wasm = await chooseEngine("auto", machine(null, NO_LIBRARY));
  assertEquals([wasm.engine, wasm.reason], [
    "wasm",
    `there is no GPU and ${NO_LIBRARY}`,
  ]);
});

Deno.test("an engine asked for is taken, a GPU in software too", async () => {
  for (const choice of ENGINE_CHOICES.filter((choice) => choice !== "auto")) {
    const { engine, reason } = await chooseEngine(
      choice,
      machine(SOFTWARE.llvmpipe!),
    );
    assertEquals([engine, reason], [
      choice,
      `EVERSTREAM_ENGINE=${choice}`,
    ]);
  }
});

Deno.test("an engine asked for that cannot run here is an error that says why and what to do", async () => {
  const none = machine(null, NO_LIBRARY);
  const gpu = await assertRejects(
    () => chooseEngine("webgpu", none),
    Error,
    '"webgpu"',
  );
  assertStringIncludes(
    gpu.message,
    "there is no GPU. Install the GPU's driver",
  );
  assertStringIncludes(gpu.message, "EVERSTREAM_ENGINE=auto");
  await assertRejects(() => chooseEngine("native", none), Error, NO_LIBRARY);
  assertEquals((await chooseEngine("wasm", none)).engine, "wasm");
});

Deno.test("a runtime without WebGPU is told apart from a machine without a GPU", async () => {
  const here = machine(null);
  here.machine.adapter = (preference) => findAdapter(preference, null);
  const { message } = await assertRejects(
    () => chooseEngine("webgpu", here),
    Error,
    "navigator.gpu",
  );
  assertStringIncludes(message, "--unstable-webgpu");
  const { engine, reason } = await chooseEngine("auto", here);
  assertEquals([engine, reason], [
    "native",
    "this runtime has no WebGPU (navigator.gpu)",
  ]);
});

Deno.test("the GPU that is preferred is looked at", async () => {
  for (const choice of ["auto", "webgpu"] as const) {
    const here = machine(HARDWARE);
    await chooseEngine(choice, { ...here, preference: "low-power" });
    assertEquals(here.asked, ["low-power"]);
  }
});
