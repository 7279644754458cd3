import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { chooseRows } from "../../lib/engine/gpu_element.ts";
import { Gpu, GpuLostError } from "../../lib/engine/gpu.ts";
import { absentReason } from "../gpu.ts";

const { COPY_DST, COPY_SRC, MAP_READ, STORAGE } = GPUBufferUsage;

/** A test with a GPU of its own. */
function gpuTest(name: string, test: (gpu: Gpu) => Promise<void> | void): void {
  Deno.test({
    name,
    ignore: absentReason !== null,
    fn: async () => {
      const gpu = await Gpu.open({ preference: "low-power" });
      try {
        await test(gpu);
      } finally {
        gpu.release();
      }
    },
  });
}

Deno.test("a runtime without WebGPU is an error that says what to do", async () => {
  const { message } = await assertRejects(
    () => Gpu.open({ preference: "low-power", source: null }),
    Error,
    "EVERSTREAM_GPU=low-power",
  );
  assertStringIncludes(message, "navigator.gpu");
  assertStringIncludes(message, "--unstable-webgpu");
});

Deno.test("a machine without a GPU is an error that says what to do; the preference was asked for", async () => {
  const asked: unknown[] = [];
  const source = {
    requestAdapter: (options?: GPURequestAdapterOptions) => {
      asked.push(options);
      return Promise.resolve(null);
    },
  };
  const { message } = await assertRejects(
    () => Gpu.open({ preference: "high-performance", source }),
    Error,
    "there is no GPU",
  );
  assertStringIncludes(message, "EVERSTREAM_GPU=high-performance");
  assertStringIncludes(message, "driver");
  assertEquals(asked, [{ powerPreference: "high-performance" }]);
});

Deno.test("a GPU that gives no device is named, with the reason", async () => {
  const adapter = {
    info: { description: "Busy GPU" },
    features: new Set(),
    limits: {},
    requestDevice: () => Promise.reject(new TypeError("no memory left")),
  } as unknown as GPUAdapter;
  const source = { requestAdapter: () => Promise.resolve(adapter) };
  const { message } = await assertRejects(
    () => Gpu.open({ preference: "low-power", source }),
    Error,
    '"Busy GPU" gives no device (no memory left)',
  );
  assertStringIncludes(message, "EVERSTREAM_ENGINE");
});

Deno.test("rows are f16 where the GPU can, and f16 asked for in vain is an error", async () => {
  const able = { f16: true, description: "New GPU" };
  const unable = { f16: false, description: "Old GPU" };
  assertEquals([chooseRows("auto", able), chooseRows("auto", unable)], [
    "f16",
    "f32",
  ]);
  assertEquals([chooseRows("f32", able), chooseRows("f16", able)], [
    "f32",
    "f16",
  ]);
  const { message } = await assertRejects(
    // deno-lint-ignore require-await
    async () => chooseRows("f16", unable),
    Error,
    '"Old GPU" has no shader-f16',
  );
  assertStringIncludes(message, "EVERSTREAM_GPU_ROWS=f32");
});

gpuTest("a GPU has what its adapter has", async (gpu) => {
  const adapter = (await navigator.gpu.requestAdapter())!;
  assert(gpu.description.length > 0);
  assertEquals(gpu.f16, adapter.features.has("shader-f16"));
  for (
    const name of ["maxBufferSize", "maxStorageBufferBindingSize"] as const
  ) {
    assertEquals(gpu.device.limits[name], adapter.limits[name]);
  }
});

gpuTest(
  "bytes are counted by purpose from creation to destruction, whoever creates",
  async (gpu) => {
    const none = { weights: 0, caches: 0, scratch: 0 };
    assertEquals([gpu.bytes, gpu.created], [none, 0]);
    const caches = gpu.buffer("caches", { size: 64, usage: STORAGE });
    const own = gpu.device.createBuffer({ size: 16, usage: STORAGE });
    const lent = await gpu.during(
      "weights",
      () => gpu.lent.createBuffer({ size: 256, usage: STORAGE }),
    );
    assertEquals(gpu.bytes, { weights: 256, caches: 64, scratch: 16 });
    own.destroy();
    own.destroy();
    lent.destroy();
    assertEquals(gpu.bytes, { weights: 0, caches: 64, scratch: 0 });
    assertEquals(gpu.created, 3);
    gpu.release();
    assertEquals(gpu.bytes, none);
    caches.destroy();
    assertEquals(gpu.bytes, none);
  },
);

gpuTest("a purpose ends with its work, also if that fails", async (gpu) => {
  const failure = new Error("no");
  const work = () => gpu.during("weights", () => Promise.reject(failure));
  assertEquals(await assertRejects(work), failure);
  gpu.device.createBuffer({ size: 16, usage: STORAGE });
  assertEquals(gpu.bytes.scratch, 16);
});

gpuTest(
  "checked work gives its result, and its error as it is",
  async (gpu) => {
    assertEquals(await gpu.checked("count", () => 7), 7);
    const failure = new RangeError("my own");
    const thrown = await assertRejects(() =>
      gpu.checked("count", () => {
        throw failure;
      })
    );
    assertEquals(thrown, failure);
  },
);

gpuTest(
  "an error of the device is an error of the checked work, and the device goes on",
  async (gpu) => {
    const mapped = () =>
      gpu.device.createBuffer({ size: 16, usage: MAP_READ | STORAGE });
    await assertRejects(
      () => gpu.checked("write rows", mapped),
      Error,
      "Cannot write rows on the GPU: ",
    );
    const work = () => {
      mapped();
      throw new RangeError("my own");
    };
    const error = await assertRejects(() => gpu.checked("write rows", work));
    assert((error as Error).cause instanceof RangeError);
    assertEquals(await gpu.checked("go on", () => 7), 7);
  },
);

gpuTest("more memory than there can be is an error", async (gpu) => {
  const size = gpu.device.limits.maxBufferSize + 4;
  await assertRejects(
    () =>
      gpu.checked(
        "claim slots",
        () => gpu.buffer("caches", { size, usage: STORAGE }),
      ),
    Error,
    "Cannot claim slots on the GPU",
  );
});

gpuTest(
  "work on a device that is lost fails and says so, before, during and after",
  async (gpu) => {
    assertEquals(gpu.isLost, false);
    await assertRejects(
      () => gpu.checked("decode", () => gpu.device.destroy()),
      GpuLostError,
      "Cannot decode on the GPU: the device is lost (destroyed)",
    );
    assertEquals(gpu.isLost, true);
    assertEquals(await gpu.lost, "destroyed");
    await assertRejects(() => gpu.checked("decode", () => 7), GpuLostError);
    assertEquals(gpu.bytes, { weights: 0, caches: 0, scratch: 0 });
  },
);

gpuTest(
  "what fails because the device is lost is told as the loss",
  async (gpu) => {
    const landing = gpu.buffer("scratch", {
      size: 16,
      usage: MAP_READ | COPY_DST,
    });
    const source = gpu.buffer("scratch", { size: 16, usage: COPY_SRC });
    const error = await assertRejects(
      () =>
        gpu.checked("read", async () => {
          const encoder = gpu.device.createCommandEncoder();
          encoder.copyBufferToBuffer(source, 0, landing, 0, 16);
          // As the driver would, and not by our `destroy`.
          GPUDevice.prototype.destroy.call(gpu.device);
          gpu.device.queue.submit([encoder.finish()]);
          await landing.mapAsync(GPUMapMode.READ);
        }),
      GpuLostError,
    );
    assertStringIncludes(error.message, "the device is lost (destroyed");
    assert(error.cause instanceof Error);
  },
);

gpuTest("a GPU that was released says so", async (gpu) => {
  gpu.release();
  await assertRejects(
    () => gpu.alive("decode", () => 7),
    GpuLostError,
    "it was released",
  );
  gpu.release();
});
