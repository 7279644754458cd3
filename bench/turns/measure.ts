/** Conversations side by side, each with another client, a turn of each at a time. @module */
import type { TurnClient, TurnSample } from "./client.ts";
import { questions } from "./questions.ts";
import { summaryOf, type TurnsSummary } from "./summary.ts";

/** One client's conversation. */
export interface TurnsResult extends TurnsSummary {
  readonly name: string;
  /** In order. */
  readonly turns: readonly TurnSample[];
}

/**
 * Lets all clients say the same. They take turns, so that whatever else the machine does falls on
 * all alike.
 *
 * @param options.pause milliseconds before each question, in which what is done behind an answer ends: who asks
 * has to read and write, too
 * @throws {Error} if a client gets no answer
 */
export async function measureTurns(
  clients: readonly TurnClient[],
  { turns, pause }: { turns: number; pause: number },
): Promise<TurnsResult[]> {
  const samples: TurnSample[][] = clients.map(() => []);
  const asked = questions();
  for (let turn = 0; turn < turns; turn++) {
    const question = asked.next().value;
    for (const [i, client] of clients.entries()) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      samples[i]!.push(await client.say(question));
    }
  }
  return clients.map(({ name }, i) => ({
    name,
    ...summaryOf(samples[i]!),
    turns: samples[i]!,
  }));
}
