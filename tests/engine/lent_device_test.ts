import { assert, assertEquals, assertThrows } from "@std/assert";
import { lend } from "../../lib/engine/lent_device.ts";
import { absentReason } from "../gpu.ts";

Deno.test({
  name: "a lent device does what the device does, until it is taken back",
  ignore: absentReason !== null,
  fn: async () => {
    const adapter = (await navigator.gpu.requestAdapter())!;
    const device = await adapter.requestDevice();
    try {
      const { device: lent, takeBack } = lend(device);
      assert(lent instanceof GPUDevice);
      assertEquals(lent.limits.maxBufferSize, device.limits.maxBufferSize);
      const { queue } = lent;
      assertEquals(lent.queue, queue);
      const buffer = lent.createBuffer({
        size: 4,
        usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
      });
      queue.writeBuffer(buffer, 0, Uint32Array.of(7));
      queue.submit([lent.createCommandEncoder().finish()]);
      await buffer.mapAsync(GPUMapMode.READ);
      assertEquals(new Uint32Array(buffer.getMappedRange())[0], 7);
      buffer.destroy();
      takeBack();
      assertThrows(() => lent.createCommandEncoder(), TypeError);
      assertThrows(() => queue.submit([]), TypeError);
      device.createCommandEncoder();
    } finally {
      device.destroy();
    }
  },
});
