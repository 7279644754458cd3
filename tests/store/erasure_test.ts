import { assert, assertEquals } from "@std/assert";
import type { Store } from "../../lib/store/store.ts";
import {
  begin,
  KEY,
  OWNER,
  result,
  SETUP,
  temporaryDirectory,
} from "./_turns.ts";

/** A sequence of bytes that is nowhere but where a test has put it: `word` again and again. */
function text(word: string, length: number): string {
  return word.repeat(Math.ceil(length / word.length)).slice(0, length);
}

/** Tokens whose bytes in the log are a text's. */
function tokens(word: string, count: number): Uint32Array {
  const bytes = new TextEncoder().encode(text(word, 4 * count));
  return new Uint32Array(bytes.buffer);
}

/** How often a word is in the files of a directory: by another process, as SQLite's locks want it. */
async function timesIn(directory: string, word: string): Promise<number> {
  const { stdout } = await new Deno.Command("grep", {
    args: ["-r", "-a", "-o", "-F", word, directory],
  }).output();
  return new TextDecoder().decode(stdout).split("\n").length - 1;
}

const WORDS = {
  kept: "Heron",
  conversation: "Osprey",
  item: "Bittern",
  response: "Dunlin",
  chain: "Whimbrel",
};

/** Takes a turn in which everything speaks of one word. */
async function speak(
  store: Store,
  { id, word, conversation, size }: {
    id: string;
    word: string;
    conversation?: string;
    size: number;
  },
): Promise<void> {
  const turn = begin(store, id, {
    input: [{ id: `${id}_in`, text: text(word, size) }],
    continues: conversation === undefined ? null : { conversation },
  });
  turn.append({ type: "delta", sequence_number: 0, delta: text(word, size) });
  const { turn: at } = turn.commit(result(id, {
    body: { id, status: "completed", text: text(word, size) },
    output: [{ id: `${id}_out`, text: text(word, size) }],
    tokens: tokens(word, size),
    boundaries: text(word, size),
    setup: SETUP,
  }));
  const bytes = new TextEncoder().encode(text(word, 8 * size));
  await store.snapshots.save(OWNER, at, { key: KEY, bytes });
}

Deno.test("store leaves no byte of what was deleted", async () => {
  await using place = await temporaryDirectory();
  const store = await place.open({ snapshotBytes: 1 << 22 });
  const count = async (word: string) => await timesIn(place.directory, word);
  for (const id of ["kept", "conversation", "item"]) {
    store.conversations.create(OWNER, {
      id,
      metadata: { text: id === "item" ? "" : text(WORDS[id as "kept"], 500) },
    });
  }
  // Of all sizes, so that rows share pages, fill some, and are moved between them.
  for (let i = 0; i < 60; i++) {
    const size = [20, 300, 1500, 9000][i % 4]! + 13 * i;
    await speak(store, {
      id: `k${i}`,
      word: WORDS.kept,
      conversation: "kept",
      size,
    });
    await speak(store, {
      id: `c${i}`,
      word: WORDS.conversation,
      conversation: "conversation",
      size,
    });
    await speak(store, { id: `r${i}`, word: WORDS.chain, size });
  }
  store.conversations.update(OWNER, "conversation", { text: "short" });
  store.items.add(OWNER, "item", [{
    id: "i",
    text: text(WORDS.item, 3000),
  }]);
  begin(store, "response", {
    input: [{ id: "in", text: text(WORDS.response, 3000) }],
  }).abandon({ id: "response", status: "failed", text: WORDS.response });
  const kept = await count(WORDS.kept);
  for (const word of Object.values(WORDS)) assert(await count(word) > 0, word);

  await store.conversations.delete(OWNER, "conversation");
  assertEquals(await count(WORDS.conversation), 0);
  await store.items.delete(OWNER, "item", "i");
  assertEquals(await count(WORDS.item), 0);
  await store.responses.delete(OWNER, "response");
  assertEquals(await count(WORDS.response), 0);
  for (let i = 0; i < 60; i++) await store.responses.delete(OWNER, `r${i}`);
  assertEquals(await count(WORDS.chain), 0);

  assert(await count(WORDS.kept) >= kept / 2);
  await store.close();
});
