/** What a conversation of thousands of turns must show. @module */
import { median } from "../statistics.ts";
import { type Check, checkMemory, checkSlots } from "./checks.ts";
import type {
  ConversationResult,
  ConversationSample,
  TurnFigures,
} from "./conversation.ts";

/** Turns of its beginning and of its end, which are compared. */
const STRETCH = 100;
/** The time to a first text at the end may be this times that at the beginning. */
const MOST_SLOWER = 1.5;
/** What a turn adds at the end may be this times what one added at the beginning. */
const MOST_GROWTH = 1.1;

/** Whether each thing that must hold does. */
export function checkConversation(result: ConversationResult): Check[] {
  const { turns, samples, items, wrongItem } = result;
  return [
    {
      what: "no turn is lost or doubled",
      ok: items === 2 * turns.length && wrongItem === null,
      found: `${items} items of ${turns.length} turns` +
        (wrongItem === null ? "" : `, not what was said from ${wrongItem} on`),
    },
    checkBytes(turns),
    checkSlots(samples),
    compared(turns, {
      what: "time to the first text",
      of: ({ firstMs }) => firstMs,
      unit: "ms",
      most: MOST_SLOWER,
    }),
    compared(turns, {
      what: "tokens of the prompt that a turn computes",
      of: ({ computed }) => computed,
      unit: "tokens",
      most: MOST_SLOWER,
    }),
    checkDatabase(samples),
    checkMemory(samples),
  ];
}

function checkBytes(turns: readonly TurnFigures[]): Check {
  const bytes = [...new Set(turns.map(({ cacheBytes }) => cacheBytes))];
  return {
    what: "the conversation's cache bytes are constant",
    ok: bytes.length === 1 && bytes[0]! > 0,
    found: `${bytes.join(", ")} bytes`,
  };
}

function compared(
  turns: readonly TurnFigures[],
  { what, of, unit, most }: {
    what: string;
    of: (turn: TurnFigures) => number;
    unit: string;
    most: number;
  },
): Check {
  const count = Math.min(STRETCH, turns.length >> 1);
  const first = median(turns.slice(0, count).map(of));
  const last = median(turns.slice(-count).map(of));
  return {
    what:
      `${what} does not grow (last ${count} turns ≤ ${most} × first ${count})`,
    ok: last <= most * first,
    found: `${first.toFixed(1)} → ${last.toFixed(1)} ${unit}, ${
      (last / first).toFixed(3)
    } times`,
  };
}

/** A turn's share of the database is that of its own text, wherever in the conversation it is. */
function checkDatabase(samples: readonly ConversationSample[]): Check {
  const what =
    `the database grows by each turn alike (second half ≤ ${MOST_GROWTH} × first half)`;
  const middle = samples[samples.length >> 1];
  const last = samples.at(-1);
  if (!middle || !last || middle === last) {
    return { what, ok: false, found: `only ${samples.length} samples` };
  }
  const first = middle.databaseBytes / middle.turns;
  const second = (last.databaseBytes - middle.databaseBytes) /
    (last.turns - middle.turns);
  return {
    what,
    ok: second <= MOST_GROWTH * first,
    found: `${first.toFixed(0)} → ${second.toFixed(0)} bytes a turn`,
  };
}
