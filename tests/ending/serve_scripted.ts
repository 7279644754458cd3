/** Starts scripted servers in processes of their own. */
import { fileURLToPath } from "node:url";
import type { Script } from "../scripted_model.ts";
import { TextLineStream } from "./text_line_stream.ts";

const SCRIPT = fileURLToPath(new URL("scripted_server.ts", import.meta.url));

/** What a server is started with. */
export interface ServeOptions {
  script?: Script;
  /** Milliseconds for answers to end. */
  patience?: number;
  tracing?: boolean;
  /** A file of API keys. */
  keyFile?: string;
  env?: Record<string, string>;
  /** Permissions; default: all. */
  permissions?: string[];
}

/** A server that runs. */
export interface ServedScript {
  base: string;
  process: Deno.ChildProcess;
  /** What it prints after its address; complete once it has ended. */
  lines: string[];
  /** Its status and all it wrote to stderr, once it has ended and its lines were read. */
  ended: Promise<{ code: number; errors: string }>;
}

/** Starts a server of a scripted model. */
export async function serveScripted(
  { env = {}, permissions = ["--allow-all"], ...options }: ServeOptions,
): Promise<ServedScript> {
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      ...permissions,
      SCRIPT,
      JSON.stringify(options),
    ],
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(process.stderr).text();
  const reader = process.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream()).getReader();
  const { value: base } = await reader.read();
  if (base === undefined) throw new Error(`no server: ${await errors}`);
  const lines: string[] = [];
  async function end() {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      lines.push(value);
    }
    return { code: (await process.status).code, errors: await errors };
  }
  return { base, process, lines, ended: end() };
}
