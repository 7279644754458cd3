/** The server as its users start it: the program behind `deno task start`, in a process of its own. @module */
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);
const POLL_MS = 200;

/** A server that listens with its model loaded; disposing of it ends it. */
export interface BenchServer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Whether its process has ended. */
  readonly ended: boolean;
}

/**
 * Starts the server on a free port of this machine and waits until it can answer. Its messages go
 * where ours go; requests are not logged.
 *
 * @param variables its environment besides ours
 * @throws {Error} if it ends before it can answer.
 */
export async function startServer(
  variables: Record<string, string>,
): Promise<BenchServer> {
  const [program, ...args] = startCommand(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const port = freePort();
  const process = new Deno.Command(
    program === "deno" ? Deno.execPath() : program!,
    {
      args,
      cwd: fileURLToPath(ROOT),
      env: {
        EVERSTREAM_LOG: "off",
        ...variables,
        HOST: "127.0.0.1",
        PORT: String(port),
      },
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    },
  ).spawn();
  let ended = false;
  process.status.then(() => ended = true);
  const server: BenchServer = {
    url: `http://127.0.0.1:${port}`,
    pid: process.pid,
    get ended() {
      return ended;
    },
    async [Symbol.asyncDispose]() {
      if (!ended) process.kill();
      await process.status;
    },
  };
  while (!await isHealthy(server.url)) {
    if (ended) {
      const { code } = await process.status;
      throw new Error(
        `Cannot use the server: it ended with status ${code} before it could answer. ` +
          "What it said is above.",
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return server;
}

/**
 * The program and arguments of `deno.json`'s task "start": run as they are, without the task
 * runner's process between.
 *
 * @throws {TypeError} if the task is not a plain command.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { startCommand } from "./server.ts";
 * const text = '{ "tasks": { "start": { "command": "deno run --allow-net a.ts" } } }';
 * assertEquals(startCommand(text), ["deno", "run", "--allow-net", "a.ts"]);
 * ```
 */
export function startCommand(denoJson: string): string[] {
  const command: string = JSON.parse(denoJson).tasks.start.command;
  if (/["'$&|;<>\\]/.test(command)) {
    throw new TypeError(
      `Cannot run the task "start" without a shell: it is ${command}`,
    );
  }
  return command.split(" ");
}

/** A port of this machine on which nobody listens. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Whether a server listens there with its model loaded. */
export async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // not listening yet
  }
}
