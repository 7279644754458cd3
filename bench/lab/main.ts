/** The program behind `deno task lab`: compares cache policies, or kinds of caches, on a text. @module */
import { dirname, join } from "node:path";
import { readConfig } from "../../lib/config.ts";
import { exitStatus } from "../../lib/program/program.ts";
import { renderMachine } from "../report.ts";
import { CURVE_PROGRAM } from "./curve_program.ts";
import { measureLab } from "./measure.ts";
import { type LabCommand, parseLabOptions, USAGE } from "./options.ts";
import { type LabRecord, readRecord } from "./record.ts";
import { renderHtml } from "./report_html.ts";
import { tablesOf } from "./report_text.ts";
import { summarizeLab } from "./summary.ts";
import { renderSvg } from "./svg.ts";
import { renderTables } from "./tables.ts";

async function lab(options: LabCommand): Promise<boolean> {
  const path = join(options.out, "policies.json");
  if (options.command === "render") {
    await writeReports(await readRecord(path), options);
    return true;
  }
  const config = readConfig();
  await Deno.stat(options.text); // fails now rather than after the model is read
  await Deno.mkdir(options.out, { recursive: true });
  const engine = options.engine ?? config.engine;
  const record = await measureLab({ ...config, engine }, options, {
    onProgress: (line) => console.error(`… ${line}`),
    onRecord: (record) => Deno.writeTextFile(path, JSON.stringify(record)),
  });
  await writeReports(record, options);
  return true;
}

async function writeReports(
  record: LabRecord,
  { out, svg }: LabCommand,
): Promise<void> {
  const summary = summarizeLab(record);
  console.log(
    `${renderMachine(record.machine)}\n\n${renderTables(tablesOf(summary))}`,
  );
  await Deno.writeTextFile(join(out, "policies.html"), renderHtml(summary));
  if (svg === undefined) return;
  await Deno.mkdir(dirname(svg), { recursive: true });
  await Deno.writeTextFile(svg, renderSvg(summary));
}

if (import.meta.main) {
  const program = { usage: USAGE, parse: parseLabOptions, run: lab };
  const [command, ...args] = Deno.args;
  Deno.exit(
    command === "curve"
      ? await exitStatus(CURVE_PROGRAM, args)
      : await exitStatus(program, Deno.args),
  );
}
