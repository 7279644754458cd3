/** The program behind `deno task calibrate`. @module */
import { join } from "node:path";
import { readConfig } from "../config.ts";
import { LayeredDecoder } from "../decoder/layered_decoder.ts";
import { openDecoder } from "../decoder/open_decoder.ts";
import { chooseEngine } from "../engine/choose.ts";
import { locateModel, terminalProgress } from "../models/mod.ts";
import { exitStatus, type Program } from "../program/program.ts";
import { readGgufVocabulary } from "../text/gguf_vocabulary.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { openGguf } from "../weights/gguf.ts";
import { propose, writeCalibration } from "./calibration.ts";
import { measureMass } from "./measure.ts";
import {
  type CalibrateOptions,
  parseCalibrateOptions,
  USAGE,
} from "./options.ts";
import { formatCalibration } from "./report.ts";

/** Sinks of the conversations that are measured. */
const SINKS = 4;

async function calibrate(options: CalibrateOptions): Promise<void> {
  const { tokens, places, threshold } = options;
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
  const { engine } = await chooseEngine(config.engine, {
    preference: config.gpu,
  });
  const graphs = join(config.modelsDirectory, "graphs");
  const source = { file, sha256: located.sha256, graphs };
  const decoder = await openDecoder(engine, source, {
    sinks: SINKS,
    window: tokens - SINKS,
    slots: 1,
    format: { kvBits: 32, layered: true },
  }, config);
  if (!(decoder instanceof LayeredDecoder)) throw new TypeError("no layers");
  try {
    const masses: number[][] = [];
    const step = Math.floor((text.length - tokens) / Math.max(1, places - 1));
    for (let place = 0; place < places; place++) {
      const from = places === 1 ? 0 : place * step;
      masses.push(
        await measureMass(decoder, text.slice(from, from + tokens)),
      );
      console.log(`${place + 1} of ${places} conversations measured`);
    }
    const calibration = propose(masses, { threshold, tokens });
    console.log(formatCalibration(calibration));
    console.log(`Kept in ${await writeCalibration(source, calibration)}`);
  } finally {
    await decoder.release();
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
