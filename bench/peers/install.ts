/**
 * Puts the peers that the benchmarks compare with into one directory, each by its own ecosystem's installer, and
 * says how to run them. Nothing outside the directory changes (pip's and npm's caches aside).
 *
 * @module
 */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** A program and its leading arguments; the model and the sizes follow. */
export type Command = [program: string, ...args: string[]];

const LLAMA_CPP_PYTHON = "llama-cpp-python==0.3.36";
const PYTHON_TOOLS = ["gguf==0.19.0", "numpy==2.4.6"];
const NODE_LLAMA_CPP = "3.22.1";

/**
 * llama-cpp-python with gguf and numpy, in a virtual environment in `directory`/llama-cpp-python. The first time, pip
 * builds llama.cpp from source, which takes some 8 minutes on two cores and needs a C++ compiler.
 *
 * @returns The commands that run `peer_llama_cpp.py`, `turns_llama_cpp.py` and `reference_kl.py`.
 * @throws {Error} If a step of the installation fails.
 */
export async function installLlamaCppPython(
  directory: string,
): Promise<{ time: Command; turns: Command; referenceKl: Command }> {
  const home = resolve(directory, "llama-cpp-python");
  const python = join(home, "bin", "python");
  await once(home, async () => {
    await run("python3", ["-m", "venv", home]);
    await run(python, [
      "-m",
      "pip",
      "install",
      LLAMA_CPP_PYTHON,
      ...PYTHON_TOOLS,
    ], {
      CMAKE_ARGS: await cmakeArgs(),
    });
  });
  return {
    time: [python, here("peer_llama_cpp.py")],
    turns: [python, here("turns_llama_cpp.py")],
    referenceKl: [python, here("reference_kl.py")],
  };
}

/**
 * node-llama-cpp with its prebuilt CPU binary, in `directory`/node-llama-cpp.
 *
 * Only this platform's CPU package is installed: all of its optional ones together are 680 MB.
 *
 * @returns The commands that run `peer_node_llama_cpp.mjs` and `turns_node_llama_cpp.mjs`.
 * @throws {Error} If the installation fails, as it does where there is no `linux-*` package for the machine.
 */
export async function installNodeLlamaCpp(
  directory: string,
): Promise<{ time: Command; turns: Command }> {
  const home = resolve(directory, "node-llama-cpp");
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const packages = [`node-llama-cpp@${NODE_LLAMA_CPP}`];
  packages.push(`@node-llama-cpp/${Deno.build.os}-${arch}@${NODE_LLAMA_CPP}`);
  await once(home, async () => {
    const options = ["--prefix", home, "--ignore-scripts", "--omit=optional"];
    await run("npm", ["install", ...options, ...packages]);
  });
  return {
    time: ["node", here("peer_node_llama_cpp.mjs"), home],
    turns: ["node", here("turns_node_llama_cpp.mjs"), home],
  };
}

/**
 * llama.cpp's AMX code, chosen at build time on a CPU that has AMX, ended in SIGSEGV at the first evaluation on the
 * virtual machines this was tried on (they show the flags). Without it the AVX-512 code runs, as on other CPUs.
 */
async function cmakeArgs(): Promise<string> {
  const cpu = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  if (!/\bamx_/.test(cpu)) return "";
  const flags = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16";
  return `-DCMAKE_C_FLAGS='${flags}' -DCMAKE_CXX_FLAGS='${flags}'`;
}

/** Run `install` unless it once ran to its end for `home`; a half-made `home` is made anew. */
async function once(home: string, install: () => Promise<void>): Promise<void> {
  const done = join(home, ".installed");
  const isDone = await Deno.stat(done).then(() => true, () => false);
  if (isDone) return;
  await Deno.remove(home, { recursive: true }).catch(() => {});
  await Deno.mkdir(home, { recursive: true });
  await install();
  await Deno.writeTextFile(done, "");
}

async function run(
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<void> {
  const command = new Deno.Command(program, {
    args,
    env,
    stdout: "null",
    stderr: "inherit",
  });
  const { success, code } = await command.output();
  if (!success) {
    throw new Error(
      `Cannot install a peer: ${program} ${args.join(" ")} ended with ${code}`,
    );
  }
}

function here(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
