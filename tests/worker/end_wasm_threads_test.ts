import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

Deno.test.sanitizer({ ops: true, resources: true });

const PROGRAM = fileURLToPath(new URL("./ended_threads.ts", import.meta.url));
const ENDED = { running: "running", during: 3, ended: "ended", after: 0 };

async function threads(): Promise<unknown> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", PROGRAM],
    stdout: "piped",
    stderr: "null", // ONNX Runtime's loader writes there that threads trapped
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  name: "WebAssembly's threads end, so that their memory is given back",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // Where other tests keep all cores busy, a thread can wake up too late for its share.
    let found = await threads();
    for (
      let i = 0;
      i < 4 && JSON.stringify(found) !== JSON.stringify(ENDED);
      i++
    ) {
      found = await threads();
    }
    assertEquals(found, ENDED);
  },
});
