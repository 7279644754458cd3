/** What a turn asks of SQLite: nothing that takes longer the longer its conversation is. */
import { assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { MIGRATIONS } from "../../lib/store/schema.ts";
import { openStore } from "../../lib/store/store.ts";
import { after, begin, CONV, item, OWNER, result, take } from "./_turns.ts";

/** The SQL that is prepared while `work` is done. */
async function preparedBy(work: () => Promise<void>): Promise<string[]> {
  const sql: string[] = [];
  const { prepare } = DatabaseSync.prototype;
  DatabaseSync.prototype.prepare = function (text) {
    sql.push(text);
    return prepare.call(this, text);
  };
  try {
    await work();
  } finally {
    DatabaseSync.prototype.prepare = prepare;
  }
  return sql.filter((text) => !text.startsWith("PRAGMA"));
}

/** Steps that visit all rows of a thread or an owner, by how SQLite says that it goes about it. */
function longSteps(sql: string): string[] {
  using db = new DatabaseSync(":memory:");
  for (const step of MIGRATIONS) db.exec(step);
  const steps = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()
    .map(({ detail }) => String(detail));
  const ends = /LIMIT 1|max\(/.test(sql); // at the first row that it finds
  return steps.filter((step) =>
    /^SCAN (?!CONSTANT)|TEMP B-TREE/.test(step) ||
    !ends && /USING .*(INDEX|KEY) .*\((thread|owner)=\?\)/.test(step) &&
      !step.includes("items_pending")
  );
}

Deno.test("a turn of a conversation or a chain visits no more rows the longer that is", async () => {
  const sql = await preparedBy(async () => {
    const store = await openStore(null, { snapshotBytes: 0 });
    const once = { key: "k", fingerprint: "f" };
    store.conversations.create(OWNER, { id: "conv", metadata: {} });
    store.items.add(OWNER, "conv", [item("before")]);
    store.turns.read(OWNER, take(store, "r1", { ...CONV, once }).turn);
    begin(store, "r2", { ...CONV, once: { ...once, key: "l" } })
      .abandon(result("r2").body);
    take(store, "r3", CONV);
    take(store, "c1");
    take(store, "c2", after("c1"));
    store.responses.read(OWNER, "c2");
    await store.close();
  });
  const long = sql.map((text) => [text, longSteps(text)] as const)
    // At the start alone; and an owner's requests of a day, to see which were cut off.
    .filter(([text]) => !/ended_at IS NULL|AS name FROM snapshots/.test(text))
    .filter(([, steps]) => steps.length > 0);
  assertEquals(long, []);
});
