/** Prometheus' text format, as much of it as the soak reads. @module */

/** One value with its labels. */
export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE =
  /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?[ \t]+(NaN|[+-]?(?:Inf|[\d.eE+-]+))(?:[ \t]+-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/**
 * Reads a page of metrics; comments are passed over.
 *
 * @throws {SyntaxError} if a line is no sample.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseMetrics } from "./metrics_text.ts";
 * assertEquals(parseMetrics('# TYPE b gauge\nb{state="idle"} 45\n'), [
 *   { name: "b", labels: { state: "idle" }, value: 45 },
 * ]);
 * ```
 */
export function parseMetrics(text: string): MetricSample[] {
  return text.split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name, labels = "", value] = LINE.exec(line) ?? [];
      const number = Number(value?.replace("Inf", "Infinity"));
      if (name === undefined || (Number.isNaN(number) && value !== "NaN")) {
        throw new SyntaxError(
          `Cannot read a metric of the line ${JSON.stringify(line)}`,
        );
      }
      return { name, labels: parseLabels(labels), value: number };
    });
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(LABEL)) {
    labels[name!] = value!.replace(
      /\\(.)/g,
      (_, escaped) => escaped === "n" ? "\n" : escaped,
    );
  }
  return labels;
}

/** What the soak asks of the server's metrics. */
export interface ServerState {
  readonly running: number;
  readonly waiting: number;
  /** Bytes of caches by state. */
  readonly cacheBytes: Readonly<Record<string, number>>;
}

const STATES = ["active", "idle", "free"] as const;

/**
 * The server's state by its metrics.
 *
 * @throws {TypeError} if one that is needed is not there.
 */
export function serverState(samples: readonly MetricSample[]): ServerState {
  const one = (name: string, labels: Record<string, string> = {}) => {
    const found = samples.find((sample) =>
      sample.name === name &&
      Object.entries(labels).every(([key, value]) =>
        sample.labels[key] === value
      )
    );
    if (found) return found.value;
    const wanted = Object.entries(labels).map(([k, v]) => `${k}="${v}"`);
    throw new TypeError(
      `Cannot find ${name}{${wanted}} among the server's metrics`,
    );
  };
  const bytes = "everstream:cache_bytes";
  for (const state of STATES) one(bytes, { state });
  return {
    running: one("everstream:num_requests_running"),
    waiting: one("everstream:num_requests_waiting"),
    cacheBytes: Object.fromEntries(
      samples.filter(({ name }) => name === bytes)
        .map(({ labels, value }) => [labels.state!, value]),
    ),
  };
}

/** Bytes of all slots, whoever has them. */
export function slotBytes({ cacheBytes }: ServerState): number {
  return STATES.reduce((sum, state) => sum + cacheBytes[state]!, 0);
}
