/**
 * The program behind `deno task plan`: what conversations of a model take, from its header alone.
 *
 * @module
 */
import { exitStatus, type Program } from "../program/program.ts";
import { readConfig } from "../config.ts";
import { parsePlanOptions, type PlanOptions, USAGE } from "./options.ts";
import { planCaches } from "./plan_caches.ts";
import { POLICIES } from "./policies.ts";
import { readShape, type ReadShapeOptions } from "./read_shape.ts";
import { formatPlan } from "./report.ts";
import { wirePlan } from "./wire.ts";

/** What the program prints. */
export async function planText(
  options: PlanOptions,
  from: ReadShapeOptions,
): Promise<string> {
  const { model, policies, json, ...request } = options;
  const shape = await readShape(model, from);
  const plan = planCaches(shape, request, {
    policies: POLICIES.filter(({ name }) => policies.some((p) => p === name)),
  });
  const named = { model, shape, request, ...plan };
  return json ? JSON.stringify(wirePlan(named), null, 2) : formatPlan(named);
}

/** `deno task plan`. */
export const PLAN: Program<PlanOptions> = {
  usage: USAGE,
  parse: (args) => parsePlanOptions(args, readConfig()),
  async run(options) {
    const directory = readConfig().modelsDirectory;
    console.log(await planText(options, { directory }));
    return true;
  },
};

if (import.meta.main) Deno.exitCode = await exitStatus(PLAN, Deno.args);
