/**
 * The program behind `deno task bench`: prints what it measures, and writes it as JSON if a file is
 * named.
 *
 * @module
 */
import { readConfig } from "../lib/config.ts";
import { measureAll } from "./measure_all.ts";
import { type BenchOptions, parseBenchOptions, USAGE } from "./options.ts";
import { exitStatus } from "../lib/program/program.ts";

/** Whether all that was asked for could be measured. */
async function bench(options: BenchOptions): Promise<boolean> {
  const config = readConfig();
  await checkFiles(options);
  const report = await measureAll({
    ...config,
    engine: options.engine ?? config.engine,
  }, options);
  for (const note of report.notes) console.error(`Not measured: ${note}`);
  if (options.json) {
    await Deno.writeTextFile(
      options.json,
      JSON.stringify(report, null, 2) + "\n",
    );
  }
  return report.notes.length === 0;
}

/** Fails now rather than after an hour of measuring. */
async function checkFiles({ text, json }: BenchOptions): Promise<void> {
  if (text !== undefined) await Deno.stat(text);
  if (json === undefined) return;
  using _file = await Deno.open(json, { create: true, append: true });
}

if (import.meta.main) {
  const program = { usage: USAGE, parse: parseBenchOptions, run: bench };
  Deno.exit(await exitStatus(program, Deno.args));
}
