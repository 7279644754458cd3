/**
 * The environment as typed configuration, validated here and nowhere else.
 *
 * @module
 */
import { z } from "zod";
import { BYTES_FORM, parseBytes } from "./byte_size.ts";
import {
  type Eviction,
  EVICTIONS,
  POLICY_NAMES,
  type PolicyName,
  USUAL_POLICIES,
} from "./cache/policy.ts";
import { GPU_PREFERENCES, type GpuPreference } from "./engine/adapter.ts";
import { ENGINE_CHOICES, type EngineChoice } from "./engine/choose.ts";
import { GPU_ROWS, type GpuRowsChoice } from "./engine/gpu_element.ts";
import type { ServiceLimits } from "./chat/chat_service.ts";
import { defaultModelsDirectory, type Environment } from "./models/mod.ts";

/** What an operator can choose. */
export interface Config {
  readonly hostname: string;
  readonly port: number;
  /** An alias, a path, or `hf:owner/repo/file[@revision]`. */
  readonly model: string;
  /** Where models and converted graphs are kept. */
  readonly modelsDirectory: string;
  readonly engine: EngineChoice;
  /** Which GPU, where there are several. */
  readonly gpu: GpuPreference;
  /** What the rows of caches on a GPU hold. */
  readonly gpuRows: GpuRowsChoice;
  readonly threads: number;
  /** S: a number, or the whole system block, of at most `systemSinks` tokens. */
  readonly sinks: number | "system";
  /** Room for a system block that is pinned. */
  readonly systemSinks: number;
  /** W: tokens of the window. */
  readonly window: number;
  /** What conversations may keep, and what they do if a request does not say. */
  readonly policies: {
    readonly standard: PolicyName;
    readonly allowed: readonly PolicyName[];
    readonly evict: Eviction;
  };
  /** Bytes for the caches of conversations that are answered; they decide how many slots there are. */
  readonly memory: number;
  readonly limits: ServiceLimits;
  /** Where conversations are kept; `null`: in memory, until the process ends. */
  readonly data: string | null;
  /** Most bytes of snapshots of their caches. */
  readonly snapshotBytes: number;
}

const MAX_ROWS = 1 << 20;

function count(least: number, most: number, standard: number) {
  return z.string().regex(/^\d+$/, "must be a whole number").transform(Number)
    .pipe(z.number().min(least).max(most)).default(standard);
}

function bytes(standard: string) {
  return z.string().default(standard).transform(parseBytes)
    .pipe(z.number(`must be ${BYTES_FORM}`));
}

function seconds(standard: number) {
  return count(1, 86_400, standard).transform((value) => value * 1000);
}

/** What each variable may be; the README's table says what it does. */
const SCHEMA = z.object({
  HOST: z.string().min(1).default("127.0.0.1"),
  PORT: count(0, 65_535, 8000),
  EVERSTREAM_MODEL: z.string().min(1).default("default"),
  EVERSTREAM_MODELS: z.string().min(1).optional(),
  EVERSTREAM_ENGINE: z.enum(ENGINE_CHOICES).default("auto"),
  EVERSTREAM_GPU: z.enum(GPU_PREFERENCES).default("high-performance"),
  EVERSTREAM_GPU_ROWS: z.enum(GPU_ROWS).default("auto"),
  EVERSTREAM_THREADS: count(1, 256, Math.max(1, navigator.hardwareConcurrency)),
  EVERSTREAM_SINKS: z.union([
    z.string().regex(/^\d+$/).transform(Number).pipe(z.number().max(MAX_ROWS)),
    z.string().regex(/^system(:\d+)?$/),
  ], { error: 'must be a whole number, "system" or "system:TOKENS"' }).default(
    4,
  ),
  EVERSTREAM_WINDOW: count(1, MAX_ROWS, 1020),
  EVERSTREAM_POLICY: z.enum(POLICY_NAMES).default("sink-window"),
  EVERSTREAM_POLICIES: z.string().transform((text) => text.split(","))
    .pipe(z.array(z.enum(POLICY_NAMES)).min(1)).default([...USUAL_POLICIES]),
  EVERSTREAM_EVICT: z.enum(EVICTIONS).default("token"),
  EVERSTREAM_MEMORY: bytes("384MiB"),
  EVERSTREAM_SWAP: bytes("512MiB"),
  EVERSTREAM_SHARED: bytes("64MiB"),
  EVERSTREAM_DATA: z.string().min(1).optional(),
  EVERSTREAM_SNAPSHOT_BYTES: z.string().transform(parseBytes)
    .pipe(z.number(`must be ${BYTES_FORM}`)).optional(),
  EVERSTREAM_QUEUE: count(0, 1 << 20, 64),
  EVERSTREAM_QUEUE_SECONDS: seconds(30),
  EVERSTREAM_ANSWER_SECONDS: seconds(600),
  EVERSTREAM_MAX_TOKENS: count(1, 1 << 30, 4096),
}).superRefine(({ EVERSTREAM_POLICY, EVERSTREAM_POLICIES }, context) => {
  if (EVERSTREAM_POLICIES.includes(EVERSTREAM_POLICY)) return;
  context.addIssue({
    code: "custom",
    path: ["EVERSTREAM_POLICY"],
    message:
      `must be one of EVERSTREAM_POLICIES (${EVERSTREAM_POLICIES}), and is ${EVERSTREAM_POLICY} here`,
  });
});

/** Names of the variables that are read. */
const VARIABLES: readonly string[] = Object.keys(SCHEMA.shape);

const DEFAULT_SYSTEM_SINKS = 256;
const DEFAULT_SNAPSHOT_BYTES = 2 * 1024 ** 3;

/**
 * Reads the configuration.
 *
 * @throws {RangeError} that names each variable that is wrong, what it is and what it may be.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { readConfig } from "./config.ts";
 * const config = readConfig(new Map([["PORT", "9000"], ["HOME", "/home/ada"]]));
 * assertEquals([config.port, config.sinks, config.window], [9000, 4, 1020]);
 * ```
 */
export function readConfig(environment: Environment = Deno.env): Config {
  const given = Object.fromEntries(
    VARIABLES.map((name) => [name, environment.get(name) || undefined]),
  );
  const result = SCHEMA.safeParse(given);
  if (!result.success) {
    const problems = result.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      return `${name}=${JSON.stringify(given[name])}: ${issue.message}`;
    });
    throw new RangeError(
      `Cannot use the environment:\n  ${problems.join("\n  ")}`,
    );
  }
  const values = result.data;
  const sinks = values.EVERSTREAM_SINKS;
  return {
    hostname: values.HOST,
    port: values.PORT,
    model: values.EVERSTREAM_MODEL,
    modelsDirectory: values.EVERSTREAM_MODELS ??
      defaultModelsDirectory(environment),
    engine: values.EVERSTREAM_ENGINE,
    gpu: values.EVERSTREAM_GPU,
    gpuRows: values.EVERSTREAM_GPU_ROWS,
    threads: values.EVERSTREAM_THREADS,
    sinks: typeof sinks === "number" ? sinks : "system",
    systemSinks: Number(String(sinks).split(":")[1] ?? DEFAULT_SYSTEM_SINKS),
    window: values.EVERSTREAM_WINDOW,
    policies: {
      standard: values.EVERSTREAM_POLICY,
      allowed: values.EVERSTREAM_POLICIES,
      evict: values.EVERSTREAM_EVICT,
    },
    memory: values.EVERSTREAM_MEMORY,
    limits: {
      maxTokens: values.EVERSTREAM_MAX_TOKENS,
      queue: values.EVERSTREAM_QUEUE,
      queueTimeout: values.EVERSTREAM_QUEUE_SECONDS,
      answerTimeout: values.EVERSTREAM_ANSWER_SECONDS,
      swapBytes: values.EVERSTREAM_SWAP,
      sharedBytes: values.EVERSTREAM_SHARED,
    },
    data: values.EVERSTREAM_DATA ?? null,
    // In memory they would only be second copies of what EVERSTREAM_SWAP keeps.
    snapshotBytes: values.EVERSTREAM_SNAPSHOT_BYTES ??
      (values.EVERSTREAM_DATA ? DEFAULT_SNAPSHOT_BYTES : 0),
  };
}
