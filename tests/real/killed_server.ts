/**
 * A conversation with a server that is killed (SIGKILL) at random moments, and what must be seen of
 * it after each restart: no turn lost, none doubled, none half, and the tokens that would have come.
 *
 * `deno task kills` does it 50 times.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import OpenAI from "openai";
import { type BenchServer, startServer } from "../../bench/server.ts";

type Body = OpenAI.Responses.ResponseCreateParamsStreaming;

/** How a conversation's cache came back with a turn. */
export type Resumed = "slot" | "memory" | "snapshot" | "replay" | null;

/** A small cache, so that most of each conversation leaves it. */
export const VARIABLES = {
  EVERSTREAM_ENGINE: "native",
  EVERSTREAM_WINDOW: "124",
  EVERSTREAM_MEMORY: "24MB",
};

/** How many of the restarts find their snapshots deleted. */
const LOST = 0.25;

/** The server with conversations in a directory. */
export function startOn(data: string): Promise<BenchServer> {
  return startServer({ ...VARIABLES, EVERSTREAM_DATA: data });
}

/** Ends a server as a power cut would. */
export async function kill(server: BenchServer): Promise<void> {
  Deno.kill(server.pid, "SIGKILL");
  await server[Symbol.asyncDispose]();
}

/** What is said in a turn. */
export function question(turn: number): string {
  const things = ["the sea", "a mill", "winter", "bread", "an old map", "bees"];
  return `Tell me one more thing about ${things[turn % things.length]}.`;
}

/** A turn's text, and how the conversation went on. */
export async function say(
  { url }: BenchServer,
  { conversation, turn }: { conversation: string; turn: number },
): Promise<{ text: string; resumed: Resumed }> {
  const openai = new OpenAI({
    baseURL: `${url}/v1`,
    apiKey: "none",
    maxRetries: 0,
  });
  const stream = await openai.responses.create({
    model: "default",
    conversation,
    input: question(turn),
    temperature: 0,
    max_output_tokens: 20 + turn % 3,
    stream: true,
  } as Body, { headers: { "idempotency-key": `turn ${turn}` } });
  let text = "";
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") text += event.delta;
    if (event.type === "response.failed") throw new Error("failed");
    if (
      event.type === "response.completed" ||
      event.type === "response.incomplete"
    ) {
      const { resumed } = Reflect.get(event.response, "everstream");
      return { text, resumed };
    }
  }
  throw new Error("The stream was cut off");
}

/** Begins a conversation. */
export async function begin({ url }: BenchServer): Promise<string> {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
  return (await openai.conversations.create()).id;
}

/** The answers that a conversation holds, each after its question. */
export async function answersOf(
  { url }: BenchServer,
  conversation: string,
): Promise<string[]> {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
  const list = openai.conversations.items.list(conversation, {
    order: "asc",
    limit: 100,
  });
  const texts: string[] = [];
  for await (const item of list) {
    assert(item.type === "message");
    texts.push(
      item.content.map((part) => "text" in part ? part.text : "").join(""),
    );
  }
  assertEquals(texts.length % 2, 0, "half a turn");
  return texts.filter((text, i) => {
    if (i % 2 === 0) assertEquals(text, question(i / 2));
    return i % 2 === 1;
  });
}

/** What a run of kills came to. */
export interface Kills {
  /** Turns by how the conversation went on with them, after kills. */
  readonly resumed: Record<string, number>;
  /** Kills after which the turn turned out to have been committed. */
  readonly committed: number;
}

/**
 * Takes a turn for each kill, and kills the server somewhere in it.
 *
 * @param expected the answers that an undisturbed server gives, one for each kill
 * @throws {AssertionError} if anything is not as it would have been
 */
export async function converseThroughKills(
  directory: string,
  expected: readonly string[],
  log: (line: string) => void = () => {},
): Promise<Kills> {
  const data = join(directory, "data");
  let server = await startOn(data);
  const resumed: Record<string, number> = {};
  let committed = 0;
  try {
    const conversation = await begin(server);
    let usual = 1500;
    for (const turn of expected.keys()) {
      const after = Math.random() * usual * 1.2;
      const started = performance.now();
      const said = say(server, { conversation, turn }).catch(() => null);
      await new Promise((resolve) => setTimeout(resolve, after));
      await kill(server);
      const before = await said;
      // Some restarts find no snapshot: all is computed again then.
      if (Math.random() < LOST) {
        await Deno.remove(join(data, "snapshots"), { recursive: true });
      }
      server = await startOn(data);
      const there = await answersOf(server, conversation);
      assertEquals(there, expected.slice(0, there.length));
      assert(
        there.length === turn + 1 || (there.length === turn && !before),
        `${there.length} turns after turn ${turn}`,
      );
      committed += there.length - turn;
      const begun = performance.now();
      const again = await say(server, { conversation, turn });
      if (there.length === turn) usual = performance.now() - begun;
      assertEquals(again.text, expected[turn]);
      const way = there.length === turn ? `${again.resumed}` : "committed";
      resumed[way] = (resumed[way] ?? 0) + 1;
      log(
        `kill ${turn + 1}: after ${Math.round(after)} ms; ${way}; ` +
          `${Math.round(performance.now() - started)} ms in all`,
      );
    }
    assertEquals(await answersOf(server, conversation), [...expected]);
  } finally {
    await kill(server);
  }
  return { resumed, committed };
}

/** The answers of a server that nobody disturbs. */
export async function undisturbed(turns: number): Promise<string[]> {
  await using server = await startServer(VARIABLES);
  const conversation = await begin(server);
  const answers: string[] = [];
  for (let turn = 0; turn < turns; turn++) {
    answers.push((await say(server, { conversation, turn })).text);
  }
  return answers;
}

if (import.meta.main) {
  const turns = Number(Deno.args[0] ?? 50);
  const directory = await Deno.makeTempDir({ prefix: "everstream_kills_" });
  try {
    const expected = await undisturbed(turns);
    const kills = await converseThroughKills(directory, expected, console.log);
    console.log(`${turns} kills, no turn lost, doubled or half:`, kills);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
