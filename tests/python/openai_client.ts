/** Runs `openai_client.py` and reads what it has found. @module */
import { fileURLToPath } from "node:url";
import type { PythonEnvironment } from "./environment.ts";

const PROGRAM = fileURLToPath(new URL("openai_client.py", import.meta.url));

/** One of the program's checks. */
export interface PythonCheck {
  readonly name: string;
  /** Why it failed; `null` if it did not. */
  readonly error: string | null;
}

/**
 * The program's checks of a server.
 *
 * @param names of its methods; without any, all that a scripted server passes
 * @throws {Error} if the program ends before it has done them
 */
export async function runPythonChecks(
  python: PythonEnvironment,
  { url, names = [] }: { url: string; names?: readonly string[] },
): Promise<PythonCheck[]> {
  const command = python.command([PROGRAM, url, "default", ...names]);
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  if (!success) throw new Error(text.decode(stderr));
  return text.decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
}
