/**
 * A progress bar for a terminal, and plain lines for a log.
 *
 * @module
 */
import type { FetchProgress } from "./model_source.ts";

/** Options of {@linkcode terminalProgress}. */
export interface TerminalProgressOptions {
  /** Writes text; by default to standard error. */
  write?: ((text: string) => void) | undefined;
  /** Whether `write` goes to a terminal; by default standard error is asked. */
  isTerminal?: boolean | undefined;
}

const WIDTH = 30;
/** The step of lines in a log when the total is not known. */
const STEP_BYTES = 10_000_000;

/**
 * An `onProgress` callback: a bar that is redrawn at each percent on a terminal, a line every 10 %
 * (or 10 MB, if the total is not known) elsewhere.
 *
 * @example A log
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * let text = "";
 * const onProgress = terminalProgress({
 *   write: (s) => text += s,
 *   isTerminal: false,
 * });
 * onProgress({ source: "hub", received: 5e6, total: 10e6 });
 * assertEquals(text, "Fetching from hub: 50 % of 10.0 MB\n");
 * ```
 */
export function terminalProgress(
  options: TerminalProgressOptions = {},
): (progress: FetchProgress) => void {
  const {
    write = writeToStderr,
    isTerminal = Deno.stderr.isTerminal(),
  } = options;
  let last: string | undefined;
  return (progress) => {
    const step = `${progress.source} ${stepOf(progress, isTerminal)}`;
    if (step === last) return;
    last = step;
    write(isTerminal ? bar(progress) : `${line(progress)}\n`);
  };
}

function stepOf(
  { received, total }: FetchProgress,
  isTerminal: boolean,
): number {
  const steps = isTerminal ? 100 : 10;
  return total
    ? Math.floor(received / total * steps)
    : Math.floor(received / STEP_BYTES * (isTerminal ? 10 : 1));
}

function line({ source, received, total }: FetchProgress): string {
  const amount = total
    ? `${percent(received, total)} % of ${megabytes(total)}`
    : megabytes(received);
  return `Fetching from ${source}: ${amount}`;
}

/** Redraws the terminal's line; ends it when all has come. */
function bar(progress: FetchProgress): string {
  const { received, total } = progress;
  const text = `\r\x1b[K${line(progress)}`;
  if (!total) return text;
  const full = Math.round(Math.min(1, received / total) * WIDTH);
  const cells = "█".repeat(full) + "░".repeat(WIDTH - full);
  return `${text} ${cells}${received >= total ? "\n" : ""}`;
}

function percent(received: number, total: number): number {
  return Math.floor(Math.min(1, received / total) * 100);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function writeToStderr(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
