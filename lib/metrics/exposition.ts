/**
 * Prometheus' text exposition format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * @module
 */

/** What tells the series of one metric apart. */
export type Labels = Readonly<Record<string, string>>;

/** One line: a value under the family's name and a suffix. */
export interface Sample {
  suffix: "" | "_bucket" | "_sum" | "_count";
  labels: Labels;
  value: number;
}

/** A metric with all its series. */
export interface Family {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram";
  samples: readonly Sample[];
}

/** The format's media type. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Metrics as text.
 *
 * @example A gauge
 * ```ts
 * import { exposition } from "./exposition.ts";
 *
 * const samples = [{ suffix: "" as const, labels: { room: "a" }, value: 2 }];
 * console.log(exposition([{ name: "seats", help: "Seats left.", type: "gauge", samples }]));
 * // # HELP seats Seats left.
 * // # TYPE seats gauge
 * // seats{room="a"} 2
 * ```
 */
export function exposition(families: readonly Family[]): string {
  return families.map(familyText).join("");
}

function familyText({ name, help, type, samples }: Family): string {
  const lines = [
    `# HELP ${name} ${escape(help, /[\\\n]/g)}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(({ suffix, labels, value }) =>
      `${name}${suffix}${labelText(labels)} ${numberText(value)}`
    ),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels)
    .map(([name, value]) => `${name}="${escape(value, /[\\\n"]/g)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join()}}`;
}

function escape(text: string, special: RegExp): string {
  return text.replace(special, (c) => c === "\n" ? "\\n" : `\\${c}`);
}

/** A number as the format has it, of values and of `le`. */
export function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
