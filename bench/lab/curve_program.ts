/** The program behind `deno task lab curve`. @module */
import { dirname, join } from "node:path";
import { readConfig } from "../../lib/config.ts";
import type { Program } from "../../lib/program/program.ts";
import { renderMachine } from "../report.ts";
import { measureCurve } from "./curve.ts";
import {
  CURVE_USAGE,
  type CurveOptions,
  parseCurveOptions,
} from "./curve_options.ts";
import { type CurveRecord, readCurve } from "./curve_record.ts";
import { curvePlot, curveTable, renderCurvePage } from "./curve_report.ts";
import { summarizeCurve } from "./curve_summary.ts";
import { renderPlot } from "./plot_svg.ts";
import { renderTables } from "./tables.ts";

/** Measures the curve, or draws it again. */
export const CURVE_PROGRAM: Program<CurveOptions> = {
  usage: CURVE_USAGE,
  parse: parseCurveOptions,
  run: curve,
};

async function curve(options: CurveOptions): Promise<boolean> {
  const path = join(options.out, "curve.json");
  await writeReports(
    options.render ? await readCurve(path) : await measure(path, options),
    options,
  );
  return true;
}

async function measure(
  path: string,
  options: CurveOptions,
): Promise<CurveRecord> {
  const config = readConfig();
  await Deno.stat(options.text); // fails now rather than after the model is read
  await Deno.mkdir(options.out, { recursive: true });
  const engine = options.engine ?? config.engine;
  return await measureCurve({ ...config, engine }, options, {
    onProgress: (line) => console.error(`… ${line}`),
    onRecord: (record) => Deno.writeTextFile(path, JSON.stringify(record)),
  });
}

async function writeReports(
  record: CurveRecord,
  { out, svg }: CurveOptions,
): Promise<void> {
  const summary = summarizeCurve(record);
  const tables = renderTables([curveTable(summary)]);
  console.log(`${renderMachine(record.machine)}\n\n${tables}`);
  await Deno.writeTextFile(join(out, "curve.html"), renderCurvePage(summary));
  if (svg === undefined) return;
  await Deno.mkdir(dirname(svg), { recursive: true });
  await Deno.writeTextFile(svg, renderPlot(curvePlot(summary)));
}
