/**
 * The program behind `deno task bench`: prints what it measures, and writes it as JSON if a file is
 * named.
 *
 * @module
 */
import { readConfig } from "../lib/config.ts";
import { checkWritable, writeJson } from "./json_file.ts";
import { measureAll } from "./measure_all.ts";
import { type BenchOptions, parseBenchOptions, USAGE } from "./options.ts";
import { exitStatus } from "../lib/program/program.ts";

/** Whether all that was asked for could be measured. */
async function bench(options: BenchOptions): Promise<boolean> {
  const config = readConfig();
  if (options.text !== undefined) await Deno.stat(options.text);
  await checkWritable(options.json);
  const report = await measureAll({
    ...config,
    engine: options.engine ?? config.engine,
  }, options);
  for (const note of report.notes) console.error(`Not measured: ${note}`);
  await writeJson(options.json, report);
  return report.notes.length === 0;
}

if (import.meta.main) {
  const program = { usage: USAGE, parse: parseBenchOptions, run: bench };
  Deno.exit(await exitStatus(program, Deno.args));
}
