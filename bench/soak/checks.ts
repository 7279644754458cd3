/** What a soak must show. @module */
import { median } from "../statistics.ts";
import { slotBytes } from "./metrics_text.ts";
import type { Tally } from "./outcome.ts";
import type { SoakSample } from "./watch.ts";

/** One thing that must hold. */
export interface Check {
  readonly what: string;
  readonly ok: boolean;
  readonly found: string;
}

/** All that a soak found. */
export interface SoakResult {
  /** Taken while clients chatted. */
  readonly samples: readonly SoakSample[];
  /** Taken when all had ended; `null` if the server was gone. */
  readonly last: SoakSample | null;
  readonly tally: Tally;
}

/** RSS at the end may be this times what it was early on. */
const MOST_GROWTH = 1.1;

/** Whether each thing that must hold does. */
export function checkSoak({ samples, last, tally }: SoakResult): Check[] {
  return [
    {
      what: "answers came",
      ok: tally.finished > 0,
      found: `${tally.finished} whole ones`,
    },
    {
      what: "each response is 200, or 503 with Retry-After",
      ok: tally.unexpected.size === 0,
      found: counts(tally.unexpected) || "no other",
    },
    {
      what: "errors in streams are the queue's",
      ok: [...tally.streamErrors.keys()].every((code) =>
        code.startsWith("queue_")
      ),
      found: counts(tally.streamErrors) || "none",
    },
    {
      what: "at the end nobody runs or waits",
      ok: last !== null && last.running === 0 && last.waiting === 0 &&
        last.cacheBytes.active === 0,
      found: last === null
        ? "the server was gone"
        : `${last.running} run, ${last.waiting} wait, ${last.cacheBytes.active} bytes in use`,
    },
    checkSlots(last === null ? samples : [...samples, last]),
    checkMemory(samples),
  ];
}

/** Whether the slots take as many bytes all the time. */
export function checkSlots(samples: readonly SoakSample[]): Check {
  const bytes = [...new Set(samples.map(slotBytes))];
  return {
    what: "the slots' cache bytes are constant",
    ok: bytes.length === 1 && bytes[0]! > 0,
    found: bytes.length === 0 ? "no sample" : `${bytes.join(", ")} bytes`,
  };
}

/** Whether the process does not grow, once it is warm. */
export function checkMemory(samples: readonly SoakSample[]): Check {
  const what = `RSS is flat (last fifth ≤ ${MOST_GROWTH} × second fifth)`;
  const fifth = samples.length / 5;
  if (fifth < 1) {
    return { what, ok: false, found: `only ${samples.length} samples` };
  }
  const rss = samples.map((sample) => sample.rss);
  const second = median(rss.slice(Math.floor(fifth), Math.ceil(2 * fifth)));
  const end = median(rss.slice(Math.floor(4 * fifth)));
  const mebibytes = [second, end].map((bytes) => (bytes / 2 ** 20).toFixed(0));
  return {
    what,
    ok: end <= MOST_GROWTH * second,
    found: `${mebibytes.join(" → ")} MiB, ${(end / second).toFixed(3)} times`,
  };
}

function counts(of: ReadonlyMap<string, number>): string {
  return [...of].map(([what, count]) => `${count} × ${what}`).join("; ");
}
