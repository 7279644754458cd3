import { assert, assertEquals, assertRejects } from "@std/assert";
import { absentReason, withDevice } from "../gpu.ts";

Deno.test({
  name:
    "a validation error on a test's device fails the test, and its device is destroyed",
  ignore: absentReason !== null,
  async fn() {
    const devices: GPUDevice[] = [];
    const run = withDevice(({ device }) => {
      devices.push(device);
      // Buffers to be mapped take no other use than to be copied to.
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE;
      device.createBuffer({ size: 16, usage });
      throw new TypeError("of the test itself");
    });
    const error = await assertRejects(() => run, Error);
    assert(error.cause instanceof TypeError, String(error.cause));
    assertEquals((await devices[0]!.lost).reason, "destroyed");
  },
});

Deno.test({
  name: "what a test throws is thrown, and its device is destroyed",
  ignore: absentReason !== null,
  async fn() {
    const devices: GPUDevice[] = [];
    const run = withDevice(({ device }) => {
      devices.push(device);
      throw new TypeError("of the test itself");
    });
    await assertRejects(() => run, TypeError, "of the test itself");
    assertEquals((await devices[0]!.lost).reason, "destroyed");
  },
});
