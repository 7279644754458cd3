import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test({
  name: "WebAssembly's threads end, so that their memory is given back",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const program = new URL("./ended_threads.ts", import.meta.url);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", fileURLToPath(program)],
      stdout: "piped",
      stderr: "null", // ONNX Runtime's loader writes there that threads trapped
    }).output();
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
      running: "running",
      during: 3,
      ended: "ended",
      after: 0,
    });
  },
});
