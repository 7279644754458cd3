import { assertEquals } from "@std/assert";

Deno.test.sanitizer({ ops: true, resources: true });

/** Names of this process's threads that are workers of this test. */
function threads(): number {
  return [...Deno.readDirSync("/proc/self/task")].filter(({ name }) => {
    const comm = `/proc/self/task/${name}/comm`;
    return /^(worker|wasm_test)/.test(Deno.readTextFileSync(comm));
  }).length;
}

Deno.test({
  name: "WebAssembly's threads end, so that their memory is given back",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const before = threads();
    const worker = new Worker(new URL("./wasm_worker.ts", import.meta.url), {
      type: "module",
      name: "wasm_test",
    });
    const message = () =>
      new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
    assertEquals(await message(), "running");
    assertEquals(threads() - before, 3);
    worker.postMessage("end");
    assertEquals(await message(), "ended");
    worker.terminate();
    for (let i = 0; i < 100 && threads() > before; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assertEquals(threads() - before, 0);
  },
});
