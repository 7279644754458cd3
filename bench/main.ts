/**
 * The program behind `deno task bench`: prints what it measures, and writes it as JSON if a file is
 * named.
 *
 * @module
 */
import { readConfig } from "../lib/config.ts";
import { measureAll } from "./measure_all.ts";
import { type BenchOptions, parseBenchOptions, USAGE } from "./options.ts";

/** Exit status: 0, 1 if something could not be measured, 2 if the command line is wrong. */
async function main(args: readonly string[]): Promise<number> {
  let options: BenchOptions;
  try {
    options = parseBenchOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  try {
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
    return report.notes.length === 0 ? 0 : 1;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

/** Fails now rather than after an hour of measuring. */
async function checkFiles({ text, json }: BenchOptions): Promise<void> {
  if (text !== undefined) await Deno.stat(text);
  if (json === undefined) return;
  using _file = await Deno.open(json, { create: true, append: true });
}

if (import.meta.main) Deno.exit(await main(Deno.args));
