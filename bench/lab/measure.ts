/** Measures what was asked for, one part after the other. @module */
import { basename } from "node:path";
import type { Config } from "../../lib/config.ts";
import { type BenchModel, openBenchModel, SINKS } from "../bench_model.ts";
import { describeMachine } from "../machine.ts";
import { readTextTokens } from "../text.ts";
import { createFacts } from "./facts.ts";
import { lazyCounts } from "./lazy_counts.ts";
import type { LabOptions } from "./options.ts";
import {
  fullPolicy,
  labPolicies,
  type LabPolicy,
  sinkWindow,
} from "./policies.ts";
import { STEPS } from "./policy_stream.ts";
import {
  measureRecall,
  type RecallOptions,
  type RecallResult,
  tokensOf,
} from "./recall.ts";
import { recallDistances } from "./recall_distances.ts";
import {
  type LabRecord,
  type RecomputeRecord,
  recomputeRecord,
  streamRecord,
} from "./record.ts";
import { recomputeWindow, samplePositions } from "./recompute.ts";
import { streamPolicies } from "./stream.ts";

/** Wrong numbers beside each right one. */
const DISTRACTORS = 7;
/** Tokens of text before a fact. */
const LEAD = 48;

/** What becomes of the results. */
export interface LabSink {
  /** Takes all that is measured so far, after each part. */
  onRecord(record: LabRecord): Promise<void>;
  /** Takes a line that says how far it is. */
  onProgress(line: string): void;
}

/**
 * Measures what the options say.
 *
 * @throws {RangeError} if the text is too short.
 */
export async function measureLab(
  config: Config,
  options: LabOptions,
  sink: LabSink,
): Promise<LabRecord> {
  const model = await openBenchModel(config);
  try {
    return await measureOn(model, {
      ...options,
      full: Math.min(options.full, await fittingTokens(model, config.memory)),
    }, sink);
  } finally {
    await model.release();
  }
}

/** The same on a model that is open. */
export async function measureOn(
  model: BenchModel,
  options: LabOptions,
  sink: LabSink,
): Promise<LabRecord> {
  const { only, skip, tokens } = options;
  const text = await readTextTokens(model.tokenizer, options.text, {
    skip,
    count: tokens + 1 + STEPS,
  });
  const full = Math.min(options.full, tokens);
  const lazy = lazyCounts(options.lazy, model.layers, [1 / 2]);
  const policies = labPolicies(only, { ...options, lazy, full });
  const lab: Lab = { model, options, policies, text, ...sink };
  let record: LabRecord = {
    schema: 2,
    machine: describeMachine(model),
    text: basename(options.text),
    skip,
    tokens,
    streams: [],
    recomputed: [],
    recall: [],
  };
  for (const part of parts(lab)) {
    for await (const change of part) {
      record = { ...record, ...change };
      await sink.onRecord(record);
    }
  }
  return record;
}

/** What the parts are measured from. */
interface Lab extends Pick<LabSink, "onProgress"> {
  readonly model: BenchModel;
  readonly options: LabOptions;
  readonly policies: readonly LabPolicy[];
  readonly text: readonly number[];
}

/** What a part adds to the record, whenever there is more of it. */
type Part = AsyncGenerator<Partial<LabRecord>>;

function parts(lab: Lab): Part[] {
  const { policies, options: { only } } = lab;
  return [
    ...(policies.length > 0 ? [streamAll(lab)] : []),
    ...(only.has("window-recompute") ? [recomputeAll(lab)] : []),
    ...(only.has("recall") ? [recallAll(lab)] : []),
  ];
}

async function* streamAll(
  { model, options, policies, text, ...lab }: Lab,
): Part {
  const { tokens } = options;
  const onProgress = atEvery(
    512,
    (done) =>
      lab.onProgress(
        `${policies.length} policies: ${done} of ${tokens} tokens`,
      ),
  );
  const given = { policies, text, tokens, steps: STEPS, onProgress };
  const streams = await streamPolicies(model, given);
  yield { streams: streams.map(streamRecord) };
}

async function* recomputeAll(
  { model, options, policies, text, ...lab }: Lab,
): Part {
  const { windows, tokens, every } = options;
  const bounded = policies.filter(({ kind }) => kind !== "full");
  // Not before all have evicted: until then there is nothing to compare.
  const from = Math.max(...windows, ...bounded.map((p) => p.policy.capacity));
  const positions = samplePositions({ from, to: tokens, every });
  const recomputed: RecomputeRecord[] = [];
  for (const window of windows) {
    const onProgress = atEvery(16, (done) =>
      lab.onProgress(
        `window-recompute ${window}: ${done} of ${positions.length} positions`,
      ));
    const given = { window, text, positions, onProgress };
    recomputed.push(recomputeRecord(await recomputeWindow(model, given)));
    yield { recomputed: [...recomputed] };
  }
}

async function* recallAll({ model, options, text, ...lab }: Lab): Part {
  const given = recallOptions(model, options, text);
  const recall: RecallResult[] = [];
  for (const policy of recallPolicies(options, given)) {
    const onProgress = (done: number) =>
      lab.onProgress(
        `recall of ${policy.label}: ${done} of ${options.facts} facts`,
      );
    recall.push(await measureRecall(model, policy, { ...given, onProgress }));
    yield { recall: [...recall] };
  }
}

/** Tokens of a cache of so many bytes. */
async function fittingTokens(
  model: BenchModel,
  memory: number,
): Promise<number> {
  const { policy, format } = fullPolicy(1);
  const { tokenBytes } = await model.decoder(policy, { format });
  return Math.floor(memory / tokenBytes) - 1; // there is a row for a sink, too
}

/** The facts, the text around them, and the distances. */
function recallOptions(
  { tokenizer }: BenchModel,
  { facts: count, recallWindow }: LabOptions,
  text: readonly number[],
): RecallOptions {
  const facts = createFacts(tokenizer, count, { distractors: DISTRACTORS });
  const given = {
    facts,
    text,
    lead: LEAD,
    distances: recallDistances(recallWindow, facts),
  };
  if (text.length < tokensOf(given)) {
    throw new RangeError(
      `Cannot plant facts in a text of ${text.length} tokens: give --tokens ${
        tokensOf(given)
      } or more`,
    );
  }
  return given;
}

/** The policy whose edge is crossed, and `full` with room for all of it. */
function recallPolicies(
  { recallWindow }: LabOptions,
  given: RecallOptions,
): LabPolicy[] {
  return [
    sinkWindow(SINKS, recallWindow),
    fullPolicy(tokensOf(given) + 2 * LEAD),
  ];
}

/** Passes on a growing count whenever it has grown by `step`. */
function atEvery(
  step: number,
  pass: (done: number) => void,
): (done: number) => void {
  let passed = 0;
  return (done) => {
    if (done < passed + step) return;
    passed = done;
    pass(done);
  };
}
