/** The program behind `deno task calibrate`. @module */
import { join } from "node:path";
import { readConfig } from "../config.ts";
import { blockCount } from "../cache/layout.ts";
import { hostEngine, openHostModel } from "../decoder/open_decoder.ts";
import { chooseEngine } from "../engine/choose.ts";
import { gpuWithHostCaches } from "../engine/gpu_host.ts";
import { locateModel, terminalProgress } from "../models/mod.ts";
import { exitStatus, type Program } from "../program/program.ts";
import { readGgufVocabulary } from "../text/gguf_vocabulary.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { openGguf } from "../weights/gguf.ts";
import { averages, propose, writeCalibration } from "./calibration.ts";
import { type LayerMeasure, measureLayers } from "./measure.ts";
import {
  type CalibrateOptions,
  parseCalibrateOptions,
  USAGE,
} from "./options.ts";
import { formatCalibration } from "./report.ts";

/** Sinks of the conversations that are measured. */
const SINKS = 4;
/** Tokens of each, at its end, over which losses are measured. */
const SCORED = 512;

async function calibrate(options: CalibrateOptions): Promise<void> {
  const { tokens, places, threshold, loss } = options;
  const config = readConfig();
  const located = await locateModel(config.model, {
    directory: config.modelsDirectory,
    onProgress: terminalProgress(),
  });
  using file = await openGguf(located.path);
  const tokenizer = createTokenizer(readGgufVocabulary(file.metadata));
  const text = tokenizer.encode(await Deno.readTextFile(options.text));
  if (text.length < tokens) {
    throw new RangeError(
      `Cannot calibrate with ${options.text}: it has ${text.length} tokens, and --tokens is ${tokens}`,
    );
  }
  const { engine: name } = await chooseEngine(config.engine, {
    preference: config.gpu,
  });
  const engine = name === "webgpu"
    ? gpuWithHostCaches(config.gpu)
    : hostEngine(name);
  const graphs = join(config.modelsDirectory, "graphs");
  const source = { file, sha256: located.sha256, graphs };
  const window = tokens - SINKS;
  const blocks = blockCount(window);
  const rings = { blocks, layered: true, threads: config.threads };
  const model = await openHostModel(engine, source, rings);
  try {
    const room = { sinks: SINKS, window, chunk: engine.chunk };
    const prompt = tokens - SCORED;
    const measured: LayerMeasure[] = [];
    const step = Math.floor((text.length - tokens) / Math.max(1, places - 1));
    for (let place = 0; place < places; place++) {
      const conversation = text.slice(place * step, place * step + tokens);
      const of = { prompt, threshold };
      measured.push(await measureLayers({ model, room }, conversation, of));
      console.log(`${place + 1} of ${places} conversations measured`);
    }
    const calibration = propose({
      tokens,
      places,
      threshold,
      loss,
      mass: averages(measured.map(({ mass }) => mass)).map(Number),
      losses: averages(measured.map(({ losses }) => losses)),
    });
    console.log(formatCalibration(calibration));
    console.log(`Kept in ${await writeCalibration(source, calibration)}`);
  } finally {
    await model.session.release();
  }
}

/** `deno task calibrate`. */
export const CALIBRATE: Program<CalibrateOptions> = {
  usage: USAGE,
  parse: parseCalibrateOptions,
  async run(options) {
    await calibrate(options);
    return true;
  },
};

if (import.meta.main) Deno.exitCode = await exitStatus(CALIBRATE, Deno.args);
