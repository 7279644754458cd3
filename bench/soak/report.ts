/** What a soak prints. @module */
import { spreadOf } from "../statistics.ts";
import { section } from "../../lib/program/table.ts";
import type { Check, SoakResult } from "./checks.ts";
import type { ConversationResult } from "./conversation.ts";
import { slotBytes } from "./metrics_text.ts";
import type { SoakSample } from "./watch.ts";

/** Most rows of the table of samples. */
const MOST_ROWS = 20;

/** Samples, counts and checks as tables. */
export function renderSoak(
  result: SoakResult,
  checks: readonly Check[],
): string {
  return [
    renderSamples(result),
    renderTally(result),
    renderChecks(checks),
  ].join("\n\n");
}

/** The same of a conversation of many turns. */
export function renderConversation(
  { samples, turns }: ConversationResult,
  checks: readonly Check[],
): string {
  const table = section("The server", {
    columns: ["turns", "seconds", "RSS MiB", "database MiB", "slots MiB"],
    rows: sparse(samples).map((sample) => [
      String(sample.turns),
      sample.seconds.toFixed(0),
      mebibytes(sample.rss),
      mebibytes(sample.databaseBytes),
      mebibytes(slotBytes(sample)),
    ]),
  });
  const seconds = samples.at(-1)?.seconds ?? 0;
  return [
    table,
    `${turns.length} turns in ${seconds.toFixed(0)} s, ${
      (seconds * 1000 / turns.length).toFixed(0)
    } ms each`,
    renderChecks(checks),
  ].join("\n\n");
}

function renderChecks(checks: readonly Check[]): string {
  return checks.map(({ what, ok, found }) =>
    `${ok ? "ok    " : "FAILED"}  ${what}: ${found}`
  ).join("\n");
}

/** Few enough of them for a table. */
function sparse<T>(samples: readonly T[]): T[] {
  const step = Math.ceil(samples.length / MOST_ROWS);
  return samples.filter((_, i) => i % step === 0);
}

function renderSamples({ samples, last }: SoakResult): string {
  const rows = sparse(samples);
  if (last) rows.push(last);
  return section("The server", {
    columns: [
      "seconds",
      "RSS MiB",
      "running",
      "waiting",
      "slots MiB",
      "other caches MiB",
      "health ms",
    ],
    rows: rows.map((sample) => [
      sample.seconds.toFixed(0),
      mebibytes(sample.rss),
      String(sample.running),
      String(sample.waiting),
      mebibytes(slotBytes(sample)),
      mebibytes(otherBytes(sample)),
      sample.healthMs.toFixed(1),
    ]),
  });
}

function renderTally({ samples, tally }: SoakResult): string {
  const spread = (name: string, values: readonly number[]) => {
    if (values.length === 0) return [name, "-", "-", "-"];
    const { p50, p99, max } = spreadOf(values);
    return [name, ...[p50, p99, max].map((value) => value.toFixed(1))];
  };
  const seconds = samples.at(-1)?.seconds ?? 0;
  const { finished, left, unavailable, parts } = tally;
  const times = section("Milliseconds", {
    columns: ["", "p50", "p99", "max"],
    rows: [
      spread("to the first part of an answer", tally.firstPartMs),
      spread("GET /health", samples.map(({ healthMs }) => healthMs)),
    ],
  });
  return `${finished} answers whole, ${left} left by their client, ${unavailable} refused ` +
    `(503 with Retry-After), ${parts} parts of answers read in ${
      seconds.toFixed(0)
    } s\n\n${times}`;
}

/** Caches outside of slots: conversations moved out of them, shared beginnings. */
function otherBytes(sample: SoakSample): number {
  const all = Object.values(sample.cacheBytes).reduce((a, b) => a + b, 0);
  return all - slotBytes(sample);
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
