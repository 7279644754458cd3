/** The command line of `deno task plan`. @module */
import { parseArgs } from "node:util";
import { member, whole } from "../program/arguments.ts";
import { BYTES_FORM, parseBytes } from "../byte_size.ts";
import type { Config } from "../config.ts";
import { POLICY_NAMES, type PolicyName } from "../cache/policy.ts";
import type { PlanRequest } from "./plan_caches.ts";

/** What was asked for. */
export interface PlanOptions extends PlanRequest {
  readonly help: boolean;
  /** An alias, a path, `hf:owner/repo/file`, or an address; of a GGUF file or a `config.json`. */
  readonly model: string;
  readonly policies: readonly PolicyName[];
  readonly json: boolean;
}

/** Conversations as long as this are planned if nothing is said. */
export const DEFAULT_TOKENS = 4096;

/** What `--help` prints. */
export const USAGE = `Usage: deno task plan [MODEL] [OPTIONS]

Says what conversations of a model take, by policy and precision of the cache's rows, and how many
of them fit. It reads no more than the header of a GGUF file, or a config.json:

  MODEL           an alias, a path, hf:owner/repo/file[@revision] or http(s)://…, of a .gguf or a
                  config.json (default: EVERSTREAM_MODEL)
  --tokens N      length of a conversation (default: ${DEFAULT_TOKENS})
  --streams K     conversations side by side (default: 1)
  --policy LIST   which policies, of ${POLICY_NAMES.join(",")} (default: all)
  --sinks S       first tokens that sink-window and simplayer keep (default: EVERSTREAM_SINKS)
  --window W      latest tokens that all but full keep (default: EVERSTREAM_WINDOW)
  --lazy L        layers that simplayer makes lazy, or auto, half of them (default:
                  EVERSTREAM_LAZY_LAYERS)
  --memory SIZE   memory to fill, as 384MiB (default: EVERSTREAM_MEMORY)
  --json          print JSON
  --help          print this
`;

/** What a configuration says where the command line does not. */
export type PlanDefaults = Pick<
  Config,
  "model" | "sinks" | "systemSinks" | "window" | "lazyLayers" | "memory"
>;

/**
 * Reads the command line.
 *
 * @throws {TypeError} if an option is unknown or lacks its value.
 * @throws {RangeError} if a value is none that the option can have.
 */
export function parsePlanOptions(
  args: readonly string[],
  defaults: PlanDefaults,
): PlanOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: "boolean", default: false },
      tokens: { type: "string", default: String(DEFAULT_TOKENS) },
      streams: { type: "string", default: "1" },
      policy: { type: "string", default: POLICY_NAMES.join(",") },
      sinks: { type: "string", default: String(roomForSinks(defaults)) },
      window: { type: "string", default: String(defaults.window) },
      lazy: { type: "string", default: String(defaults.lazyLayers) },
      memory: { type: "string", default: String(defaults.memory) },
      json: { type: "boolean", default: false },
    },
  });
  if (positionals.length > 1) {
    throw new RangeError(
      `Cannot plan ${positionals.length} models: give one at a time`,
    );
  }
  const asked = values.policy.split(",").map((name) =>
    member("--policy", name, POLICY_NAMES)
  );
  return {
    help: values.help,
    json: values.json,
    model: positionals[0] ?? defaults.model,
    policies: POLICY_NAMES.filter((name) => asked.includes(name)),
    tokens: whole("--tokens", values.tokens, 1),
    streams: whole("--streams", values.streams, 1),
    sinks: whole("--sinks", values.sinks, 0),
    window: whole("--window", values.window, 1),
    lazyLayers: values.lazy === "auto"
      ? "auto"
      : whole("--lazy", values.lazy, 0),
    memory: memory(values.memory),
  };
}

/** Rows for sinks that each slot of a server has. */
export function roomForSinks(
  { sinks, systemSinks }: Pick<Config, "sinks" | "systemSinks">,
): number {
  return sinks === "system" ? systemSinks : sinks;
}

function memory(value: string): number {
  const bytes = parseBytes(value);
  if (bytes !== undefined) return bytes;
  throw new RangeError(
    `Cannot use --memory ${JSON.stringify(value)}: give ${BYTES_FORM}`,
  );
}
