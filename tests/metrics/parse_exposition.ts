/**
 * Reads Prometheus' text format back, and is strict: what it takes is in order, whole and unique.
 *
 * @module
 */

/** A metric as it was read. */
export interface ParsedFamily {
  help: string;
  type: string;
  samples: { name: string; labels: Record<string, string>; value: number }[];
}

/** Families by name. */
export type Parsed = Map<string, ParsedFamily>;

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s;
const PAIR = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/sy;
const NUMBER = /^[+-]?(\d+(\.\d+)?(e[+-]?\d+)?|Inf)$/;

/** @throws {SyntaxError} if the text is not the format's, or a histogram is not one */
export function parseExposition(text: string): Parsed {
  const families: Parsed = new Map();
  if (text === "") return families;
  if (!text.endsWith("\n")) throw new SyntaxError("no newline at the end");
  const lines = text.slice(0, -1).split("\n");
  while (lines.length > 0) {
    const [name, help] = comment(lines.shift()!, "HELP");
    const [typed, type] = comment(lines.shift() ?? "", "TYPE");
    if (!NAME.test(name) || typed !== name || families.has(name)) {
      throw new SyntaxError(`family ${name}, typed ${typed}`);
    }
    const family: ParsedFamily = { help: unescape(help), type, samples: [] };
    families.set(name, family);
    while (lines.length > 0 && !lines[0]!.startsWith("#")) {
      family.samples.push(sample(lines.shift()!));
    }
    check(name, family);
  }
  return families;
}

/** The value of a series; `undefined` if there is none. */
export function valueOf(
  parsed: Parsed,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const wanted = Object.entries(labels);
  const found = [...parsed.values()].flatMap((family) => family.samples)
    .filter((sample) =>
      sample.name === name &&
      wanted.every(([key, value]) => sample.labels[key] === value)
    );
  if (found.length > 1) throw new Error(`${found.length} series of ${name}`);
  return found[0]?.value;
}

function comment(line: string, kind: string): [name: string, text: string] {
  const match = /^# ([A-Z]+) (\S+) (.*)$/s.exec(line);
  if (match?.[1] !== kind) throw new SyntaxError(`no ${kind}: ${line}`);
  return [match[2]!, match[3]!];
}

function sample(line: string): ParsedFamily["samples"][number] {
  const match = SAMPLE.exec(line);
  if (!match || !NUMBER.test(match[3]!)) throw new SyntaxError(line);
  const labels: Record<string, string> = {};
  const text = match[2] ?? "";
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < text.length) {
    const pair = PAIR.exec(text);
    if (!pair || pair[1]! in labels) throw new SyntaxError(line);
    labels[pair[1]!] = unescape(pair[2]!);
  }
  return { name: match[1]!, labels, value: number(match[3]!) };
}

function number(text: string): number {
  return Number(text.replace("Inf", "Infinity"));
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
}

function check(name: string, { type, samples }: ParsedFamily): void {
  const seen = samples.map(({ name, labels }) =>
    JSON.stringify([name, Object.entries(labels).sort()])
  );
  if (new Set(seen).size < seen.length) {
    throw new SyntaxError(`${name} has a series twice`);
  }
  if (type === "histogram") return checkHistogram(name, samples);
  if (type !== "counter" && type !== "gauge") throw new SyntaxError(type);
  if (samples.some((sample) => sample.name !== name)) {
    throw new SyntaxError(`${name} has lines of another name`);
  }
  if (type === "counter" && samples.some(({ value }) => value < 0)) {
    throw new SyntaxError(`${name} counts below zero`);
  }
}

/** Of each series: rising buckets up to +Inf, a sum, and a count that is the last bucket's. */
function checkHistogram(name: string, samples: ParsedFamily["samples"]): void {
  const rest = [...samples];
  while (rest.length > 0) {
    let [bound, count] = [-Infinity, 0];
    while (bound < Infinity) {
      const bucket = rest.shift();
      const le = number(bucket?.labels["le"] ?? "");
      if (bucket?.name !== `${name}_bucket` || !(le > bound)) {
        throw new SyntaxError(`${name} has no bucket over ${bound}`);
      }
      if (bucket.value < count) throw new SyntaxError(`${name} falls at ${le}`);
      [bound, count] = [le, bucket.value];
    }
    const [sum, total] = [rest.shift(), rest.shift()];
    if (sum?.name !== `${name}_sum` || total?.name !== `${name}_count`) {
      throw new SyntaxError(`${name} has no sum and count`);
    }
    if (total.value !== count) throw new SyntaxError(`${name} miscounts`);
  }
}
