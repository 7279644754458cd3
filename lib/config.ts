/**
 * The environment as typed configuration, validated here and nowhere else.
 *
 * @module
 */
import { z } from "zod";
import { digestOf, isKey, KEY_LENGTH } from "./access/keys.ts";
import { isOpen, type KeySources } from "./access/open_keys.ts";
import type { RateLimits } from "./access/rate_limits.ts";
import { BYTES_FORM, parseBytes } from "./byte_size.ts";
import { KV_BITS, type KvBits } from "./cache/cache_format.ts";
import type { LazyLayers } from "./cache/lazy_share.ts";
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
import type { ServiceLimits } from "./chat/chat_parts.ts";
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
  /** Bits of a row's elements that conversations may ask for; the first is for those that do not. */
  readonly kvBits: readonly KvBits[];
  /** How many layers of `simplayer` are lazy. */
  readonly lazyLayers: LazyLayers;
  /**
   * Bytes for the caches of conversations that are answered, divided evenly among the kinds of caches
   * (by bits, and layered or not); they decide how many slots there are.
   */
  readonly memory: number;
  readonly limits: ServiceLimits;
  /** Who may use the server; everybody, if there is neither a digest nor a file. */
  readonly keys: KeySources;
  /** What each client may ask for. */
  readonly rates: RateLimits;
  /** Origins whose pages may use the API, besides the server's own. */
  readonly origins: "*" | readonly string[];
  /** Whether each request is logged. */
  readonly log: "json" | "off";
  /** Whether Deno's OpenTelemetry is on. */
  readonly tracing: boolean;
  /** Milliseconds that answers have to end when the server is told to. */
  readonly drain: number;
  /** Where conversations are kept; `null`: in memory, until the process ends. */
  readonly data: string | null;
  /** Most bytes of snapshots of their caches. */
  readonly snapshotBytes: number;
}

const MAX_ROWS = 1 << 20;
const MAX_LAYERS = 1 << 10;

function count(least: number, most: number, standard: number) {
  return z.string().regex(/^\d+$/, "must be a whole number").transform(Number)
    .pipe(z.number().min(least).max(most)).default(standard);
}

function bytes(standard: string) {
  return z.string().default(standard).transform(parseBytes)
    .pipe(z.number(`must be ${BYTES_FORM}`));
}

function seconds(standard: number, least = 1) {
  return count(least, 86_400, standard).transform((value) => value * 1000);
}

function list() {
  return z.string().transform((text) => text.split(",").map((s) => s.trim()));
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

const BITS = `must be some of ${
  KV_BITS.join(", ")
}, each once, with commas between them`;

function isSet(items: readonly unknown[]): boolean {
  return new Set(items).size === items.length;
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
  EVERSTREAM_KV_BITS: list().transform((bits) => bits.map(Number)).pipe(
    z.array(z.literal(KV_BITS, BITS)).refine(isSet, BITS),
  ).default([32]),
  EVERSTREAM_LAZY_LAYERS: z.union([
    z.literal("auto"),
    z.string().regex(/^\d+$/).transform(Number).pipe(
      z.number().max(MAX_LAYERS),
    ),
  ], { error: 'must be "auto" or a number of layers' }).default("auto"),
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
  EVERSTREAM_API_KEYS: list().refine((keys) => keys.every(isKey), {
    message:
      `must be keys with commas between them, each of at least ${KEY_LENGTH} letters, digits or ` +
      "any of -._~+/; 'deno task key' makes one",
  }).transform((keys) => keys.map(digestOf)).default([]),
  EVERSTREAM_API_KEYS_FILE: z.string().min(1).optional(),
  EVERSTREAM_LIMIT_REQUESTS: count(0, 1 << 30, 0),
  EVERSTREAM_LIMIT_TOKENS: count(0, 1 << 30, 0),
  EVERSTREAM_LIMIT_STREAMS: count(0, 1 << 30, 0),
  EVERSTREAM_ORIGINS: z.union([
    z.literal("*"),
    z.literal("none").transform(() => []),
    list().refine((origins) => origins.every(isOrigin)),
  ], {
    error:
      'must be "*", "none", or origins as https://example.com with commas between them',
  }).optional(),
  EVERSTREAM_LOG: z.enum(["json", "off"]).default("json"),
  EVERSTREAM_DRAIN: seconds(5, 0),
  OTEL_DENO: z.string().default("").transform((text) =>
    text === "true" || text === "1"
  ),
}).superRefine(({ EVERSTREAM_POLICY, EVERSTREAM_POLICIES }, context) => {
  if (EVERSTREAM_POLICIES.includes(EVERSTREAM_POLICY)) return;
  context.addIssue({
    code: "custom",
    path: ["EVERSTREAM_POLICY"],
    message:
      `must be one of EVERSTREAM_POLICIES (${EVERSTREAM_POLICIES}), and is ${EVERSTREAM_POLICY} here`,
  });
});

/** Variables whose values nobody may read in a log. */
const SECRETS: ReadonlySet<string> = new Set(["EVERSTREAM_API_KEYS"]);

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
      const value = SECRETS.has(name) ? "…" : JSON.stringify(given[name]);
      return `${name}=${value}: ${issue.message}`;
    });
    throw new RangeError(
      `Cannot use the environment:\n  ${problems.join("\n  ")}`,
    );
  }
  const values = result.data;
  const sinks = values.EVERSTREAM_SINKS;
  const keys = {
    digests: values.EVERSTREAM_API_KEYS,
    file: values.EVERSTREAM_API_KEYS_FILE ?? null,
  };
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
    kvBits: values.EVERSTREAM_KV_BITS,
    lazyLayers: values.EVERSTREAM_LAZY_LAYERS,
    memory: values.EVERSTREAM_MEMORY,
    limits: {
      maxTokens: values.EVERSTREAM_MAX_TOKENS,
      queue: values.EVERSTREAM_QUEUE,
      queueTimeout: values.EVERSTREAM_QUEUE_SECONDS,
      answerTimeout: values.EVERSTREAM_ANSWER_SECONDS,
      swapBytes: values.EVERSTREAM_SWAP,
      sharedBytes: values.EVERSTREAM_SHARED,
    },
    keys,
    rates: {
      requests: values.EVERSTREAM_LIMIT_REQUESTS,
      tokens: values.EVERSTREAM_LIMIT_TOKENS,
      streams: values.EVERSTREAM_LIMIT_STREAMS,
    },
    origins: values.EVERSTREAM_ORIGINS ?? (isOpen(keys) ? "*" : []),
    log: values.EVERSTREAM_LOG,
    tracing: values.OTEL_DENO,
    drain: values.EVERSTREAM_DRAIN,
    data: values.EVERSTREAM_DATA ?? null,
    // In memory they would only be second copies of what EVERSTREAM_SWAP keeps.
    snapshotBytes: values.EVERSTREAM_SNAPSHOT_BYTES ??
      (values.EVERSTREAM_DATA ? DEFAULT_SNAPSHOT_BYTES : 0),
  };
}
