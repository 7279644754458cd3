/** One conversation that goes on for thousands of turns, and what is seen of its server meanwhile. @module */
import { join } from "node:path";
import type { TurnSample } from "../turns/client.ts";
import { questions } from "../turns/questions.ts";
import { ResponsesClient } from "../turns/responses_client.ts";
import { type SoakSample, takeSample, type Watched } from "./watch.ts";

/** Most tokens of an answer. */
const ANSWER = 4;
/** Times that the server is looked at. */
const SAMPLES = 50;
/** Items of one page of a list. */
const PAGE = 100;

/** The server after so many turns. */
export interface ConversationSample extends SoakSample {
  readonly turns: number;
  /** Bytes of the store's database, without snapshots. */
  readonly databaseBytes: number;
}

/** A turn's figures; its text is compared at the end and forgotten. */
export type TurnFigures = Pick<TurnSample, "firstMs" | "ms"> & {
  readonly cacheBytes: number;
  readonly computed: number;
};

/** A whole conversation. */
export interface ConversationResult {
  readonly turns: readonly TurnFigures[];
  readonly samples: readonly ConversationSample[];
  /** Items that the server lists at the end. */
  readonly items: number;
  /** Number, from 0, of the first that is not what was said there; `null` if all are. */
  readonly wrongItem: number | null;
}

/** How long, and where the server's store is. */
export interface ConversationOptions {
  readonly turns: number;
  readonly data: string;
}

/**
 * Has a conversation of so many turns through `/v1/responses`, then reads all of it back.
 *
 * @throws {Error} if a turn gets no answer, or the server cannot be watched
 */
export async function holdConversation(
  server: Watched,
  { turns, data }: ConversationOptions,
): Promise<ConversationResult> {
  const start = performance.now();
  const { url } = server;
  await using client = await ResponsesClient.open({ url, maxTokens: ANSWER });
  const figures: TurnFigures[] = [];
  const samples: ConversationSample[] = [];
  const said: string[] = [];
  const asked = questions();
  const every = Math.ceil(turns / SAMPLES);
  for (let turn = 1; turn <= turns; turn++) {
    const question = asked.next().value;
    const { answer, firstMs, ms, cacheBytes, computed } = await client.say(
      question,
    );
    said.push(question, answer);
    figures.push({ firstMs, ms, cacheBytes: cacheBytes!, computed: computed! });
    if (turn % every > 0 && turn < turns) continue;
    samples.push({
      turns: turn,
      databaseBytes: await databaseBytes(data),
      ...await takeSample(server, start),
    });
  }
  const { conversation } = client;
  const items = await Array.fromAsync(itemTexts(url, conversation));
  const wrong = items.findIndex((text, i) => text !== said[i]);
  return {
    turns: figures,
    samples,
    items: items.length,
    wrongItem: wrong < 0 ? null : wrong,
  };
}

/** The database and its write-ahead log. */
async function databaseBytes(data: string): Promise<number> {
  const sizes = ["everstream.db", "everstream.db-wal"].map(async (name) =>
    (await Deno.stat(join(data, name))).size
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Texts of a conversation's items, oldest first. */
async function* itemTexts(
  url: string,
  conversation: string,
): AsyncGenerator<string, void, void> {
  for (let after = "";;) {
    const query = new URLSearchParams({ order: "asc", limit: String(PAGE) });
    if (after !== "") query.set("after", after);
    const response = await fetch(
      `${url}/v1/conversations/${conversation}/items?${query}`,
    );
    const page: ItemPage = await response.json();
    for (const { content } of page.data) {
      yield content.map(({ text }) => text).join("");
    }
    if (!page.has_more) return;
    after = page.last_id;
  }
}

interface ItemPage {
  readonly data: readonly { readonly content: readonly { text: string }[] }[];
  readonly has_more: boolean;
  readonly last_id: string;
}
