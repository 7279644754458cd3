import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { Pipelines, workgroupGrid } from "../../kernels/pipelines.ts";
import { download, gpuTest, upload } from "../gpu.ts";

const CODE = `override lanes: u32;
override added = 0u;
@group(0) @binding(0) var<storage, read_write> numbers: array<u32>;
@compute @workgroup_size(lanes)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * lanes + lane;
  if (index < arrayLength(&numbers)) {
    numbers[index] = index + added;
  }
}
@compute @workgroup_size(1) fn other() {}`;

gpuTest(
  "pipelines are compiled once for a source, an entry point and constants",
  async ({
    pipelines,
  }) => {
    const constants = { lanes: 4, added: 1 };
    const source = { name: "count", code: CODE, constants };
    const [first, second] = await Promise.all([
      pipelines.get(source),
      pipelines.get({ ...source, constants: { added: 1, lanes: 4 } }),
    ]);
    assertStrictEquals(first, second);
    assertEquals(first!.label, "count");
    await pipelines.get({ ...source, constants: { ...constants, added: 2 } });
    await pipelines.get({ ...source, entryPoint: "other" });
    await pipelines.get({ ...source, code: CODE + "\n" });
    assertEquals(pipelines.size, 4);
  },
);

gpuTest(
  "a grid of workgroups reaches every invocation, in two dimensions too",
  async ({
    device,
    pipelines,
  }) => {
    const pipeline = await pipelines.get({
      name: "count",
      code: CODE,
      constants: { lanes: 8, added: 3 },
    });
    const buffer = upload(device, new Uint32Array(1001));
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer } }],
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    const [x, y] = workgroupGrid(1001, { size: 8, limit: 50 });
    assertEquals([x, y], [50, 3]);
    pass.dispatchWorkgroups(x, y);
    pass.end();
    device.queue.submit([encoder.finish()]);
    const numbers = new Uint32Array(await download(device, buffer));
    assertEquals(numbers, Uint32Array.from({ length: 1001 }, (_, i) => i + 3));
  },
);

gpuTest(
  "a source that does not compile is told with its file, line and message, and not kept",
  async ({
    pipelines,
  }) => {
    for (
      const [code, line, message] of [
        ["fn main() {\n  let x: u32 = 1.5;\n}", "2: let x: u32 = 1.5;", "u32"],
        ["\n\nfn main( {", "3: fn main( {", "expected"],
        ["fn f() -> u32 {\n  return true;\n}", "1: fn f()", "return true"],
      ] as const
    ) {
      const error = await assertRejects(
        () => pipelines.get({ name: "wrong", code }),
        Error,
        `wrong.wgsl:${line}`,
      );
      assert(String(error).includes(message), String(error));
    }
    assertEquals(pipelines.size, 0);
  },
);

gpuTest("a pipeline that cannot be made is told with its constants", async ({
  pipelines,
}) => {
  const source = { name: "count", code: CODE };
  for (
    const [wrong, message] of [
      [{ constants: { lanes: 1e6 } }, 'count.wgsl with {"lanes":1000000}'],
      [{ constants: { lanes: 1, none: 1 } }, '"none":1'],
      [{}, "count.wgsl with {}"], // `lanes` has no value
      [{ entryPoint: "absent" }, "absent"],
    ] as const
  ) {
    await assertRejects(
      () => pipelines.get({ ...source, ...wrong }),
      Error,
      message,
    );
  }
  assertEquals(pipelines.size, 0);
});

Deno.test("a workgroup is a power of two within the device's limits", () => {
  const limits = {
    maxComputeInvocationsPerWorkgroup: 200,
    maxComputeWorkgroupSizeX: 1024,
    maxComputeWorkgroupStorageSize: 1024,
  };
  const pipelines = new Pipelines({ limits } as GPUDevice);
  assertEquals(pipelines.workgroupSize(), 128);
  assertEquals(pipelines.workgroupSize(64), 64);
  assertEquals(pipelines.workgroupSize(256, { storage: 8 }), 128);
  assertEquals(pipelines.workgroupSize(256, { storage: 8, shared: 4 }), 64);
  assertEquals(pipelines.workgroupSize(256, { storage: 1024 }), 1);
});
