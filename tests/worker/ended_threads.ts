/**
 * A program that says how many threads a worker with WebAssembly has while it runs, and once it has
 * ended: of a process of its own, since other tests have workers, too.
 *
 * @module
 */

/** Threads of this process that are workers. */
function threads(): number {
  return [...Deno.readDirSync("/proc/self/task")].filter(({ name }) => {
    const comm = `/proc/self/task/${name}/comm`;
    return /^(worker|wasm_test)/.test(Deno.readTextFileSync(comm));
  }).length;
}

const before = threads();
const worker = new Worker(new URL("./wasm_worker.ts", import.meta.url), {
  type: "module",
  name: "wasm_test",
});
const message = () =>
  new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
const running = await message();
const during = threads() - before;
worker.postMessage("end");
const ended = await message();
worker.terminate();
for (let i = 0; i < 100 && threads() > before; i++) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const after = threads() - before;
console.log(JSON.stringify({ running, during, ended, after }));
