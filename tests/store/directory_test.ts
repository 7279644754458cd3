import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  begin,
  cache,
  CONV,
  item,
  itemsOf,
  KEY,
  logOf,
  OWNER,
  result,
  snapshotsOf,
  take,
  temporaryDirectory,
} from "./_turns.ts";
import { storeContract } from "./contract.ts";

storeContract("in a directory", temporaryDirectory);

Deno.test("store in a directory is the same after it was closed and opened", async () => {
  await using place = await temporaryDirectory();
  const before = await place.open();
  before.conversations.create(OWNER, { id: "conv", metadata: { a: "1" } });
  before.items.add(OWNER, "conv", [item("first")]);
  const once = { key: "k", fingerprint: "f" };
  const turn = begin(before, "r1", { ...CONV, once });
  const event = { type: "done", sequence_number: 0 };
  turn.append(event);
  const position = turn.commit(result("r1"));
  const saving = before.snapshots.save(OWNER, position.turn, cache(10, 7));
  const conversation = before.conversations.read(OWNER, "conv");
  await before.close();
  assertEquals(await saving, true);

  const after = await place.open();
  assertEquals(after.conversations.read(OWNER, "conv"), conversation);
  assertEquals(itemsOf(after, "conv"), ["first", "r1_in", "r1_out"]);
  assertEquals(logOf(after, position.turn), ["r1"]);
  assertEquals(after.responses.read(OWNER, "r1")?.position, position);
  assertEquals(
    await Array.fromAsync(after.responses.events(OWNER, "r1", -1)!),
    [event],
  );
  assertEquals(
    (await after.snapshots.load(OWNER, position.turn, KEY))?.bytes,
    cache(10, 7).bytes,
  );
  const again = { body: { id: "r2", status: "queued" }, input: [], once };
  assertEquals(
    after.turns.begin(OWNER, { ...again, continues: null }),
    { outcome: "repeated", response: "r1" },
  );
  await after.close();
});

Deno.test("store in a directory fails the turns that were under way when it ended", async () => {
  await using place = await temporaryDirectory();
  const before = await place.open();
  before.conversations.create(OWNER, { id: "conv", metadata: {} });
  const request = { ...CONV, once: { key: "k", fingerprint: "f" } };
  begin(before, "r1", request);
  await before.close();

  const after = await place.open();
  const failed = after.responses.read(OWNER, "r1");
  assertEquals([failed?.body.status, failed?.position], ["failed", null]);
  assertEquals(
    (failed?.body.error as { code: string }).code,
    "server_error",
  );
  assertEquals(itemsOf(after, "conv"), []);
  assertEquals(take(after, "r2", request).number, 1);
  await after.close();
});

Deno.test("store in a directory is for one user, and for one process at a time", async () => {
  await using place = await temporaryDirectory();
  const store = await place.open();
  await store.snapshots.save(OWNER, take(store, "r1").turn, cache(10));
  const mode = async (...path: string[]) =>
    (await Deno.stat(join(place.directory, ...path))).mode! & 0o777;
  assertEquals(await mode(), 0o700);
  assertEquals(await mode("everstream.db"), 0o600);
  assertEquals(await mode("everstream.db-wal"), 0o600);
  assertEquals(await mode("snapshots"), 0o700);
  assertEquals(await mode("snapshots", "1"), 0o600);

  await assertRejects(() => place.open(), Error, "another process has it open");
  const writer = new URL("./_writer.ts", import.meta.url).href;
  const other = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-all", writer, place.directory],
    signal: AbortSignal.timeout(10_000),
  }).output();
  const said = new TextDecoder().decode(other.stderr);
  assertEquals([other.success, said.match(/EVERSTREAM_DATA/)?.length], [
    false,
    1,
  ]);
  assertEquals(take(store, "r2").number, 1);
  await store.close();
});

Deno.test("store in a directory says why it cannot be opened", async () => {
  await using place = await temporaryDirectory();
  await (await place.open()).close();
  const path = join(place.directory, "everstream.db");
  const db = new DatabaseSync(path);
  db.exec("PRAGMA user_version = 1000");
  db.close();
  await assertRejects(() => place.open(), Error, "later version");
  await Deno.writeTextFile(path, "no database ".repeat(1000));
  await assertRejects(() => place.open(), Error, `Cannot open ${path}: `);
});

Deno.test("store in a directory takes a damaged snapshot for absent, and deletes it", async () => {
  await using place = await temporaryDirectory();
  const store = await place.open();
  store.conversations.create(OWNER, { id: "conv", metadata: {} });
  const one = take(store, "r1", CONV), two = take(store, "r2", CONV);
  const file = (turn: number) => join(place.directory, "snapshots", `${turn}`);
  const damages: Record<string, (path: string) => Promise<void>> = {
    async flipped(path) {
      const bytes = await Deno.readFile(path);
      bytes[50]! ^= 1;
      await Deno.writeFile(path, bytes);
    },
    truncated: (path) => Deno.truncate(path, 99),
    empty: (path) => Deno.truncate(path, 0),
    longer: (path) => Deno.writeFile(path, new Uint8Array(1), { append: true }),
    removed: (path) => Deno.remove(path),
  };
  for (const [name, damage] of Object.entries(damages)) {
    await store.snapshots.save(OWNER, one.turn, cache(100, 1));
    await store.snapshots.save(OWNER, two.turn, cache(100, 2));
    await damage(file(two.turn));
    const found = await store.snapshots.load(OWNER, two.turn, KEY);
    assertEquals(found?.position, one, name);
    assertEquals(found?.bytes, cache(100, 1).bytes);
    assertEquals(store.snapshots.bytes, 100);
    await assertRejects(() => Deno.stat(file(two.turn)), Deno.errors.NotFound);
  }
  const damaged = Object.keys(damages).length;
  const counts = { written: 2 * damaged, pruned: 0, failed: 0, damaged };
  assertEquals(store.snapshots.counts, counts);
  await Deno.remove(join(place.directory, "snapshots"), { recursive: true });
  await assertRejects(
    () => store.snapshots.save(OWNER, two.turn, cache(100)),
    Deno.errors.NotFound,
  );
  assertEquals(store.snapshots.counts, { ...counts, failed: 1 });
  await store.close();
});

Deno.test("store in a directory removes at its opening what a crash left of snapshots", async () => {
  await using place = await temporaryDirectory();
  const before = await place.open();
  const one = take(before, "r1"), two = take(before, "r2");
  await before.snapshots.save(OWNER, one.turn, cache(100));
  await before.snapshots.save(OWNER, two.turn, cache(100));
  await before.close();
  const file = (name: string) => join(place.directory, "snapshots", name);
  await Deno.remove(file(`${one.turn}`));
  for (const stray of ["77", "2.part"]) {
    await Deno.writeFile(file(stray), new Uint8Array(10));
  }
  const after = await place.open();
  assertEquals(after.snapshots.bytes, 100);
  const left = await Array.fromAsync(Deno.readDir(file(".")));
  assertEquals(left.map(({ name }) => name), [`${two.turn}`]);
  assertEquals(await snapshotsOf(after, [one, two]), [two.turn]);
  await after.close();
});

Deno.test("store in a directory leaves no snapshot of a conversation deleted while it was written", async () => {
  await using place = await temporaryDirectory();
  const store = await place.open({ snapshotBytes: 1 << 24 });
  for (const milliseconds of [0, 0, 1, 2, 4, 8]) {
    store.conversations.create(OWNER, { id: "conv", metadata: {} });
    const { turn } = take(store, crypto.randomUUID(), CONV);
    const saving = store.snapshots.save(OWNER, turn, cache(1 << 23));
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    await store.conversations.delete(OWNER, "conv");
    await saving;
    const left = Deno.readDirSync(join(place.directory, "snapshots"));
    assertEquals([...left], []);
    assertEquals(store.snapshots.bytes, 0);
  }
  await store.close();
});

Deno.test("store in a directory forgets at once what is old, and removes it little by little", async () => {
  await using place = await temporaryDirectory();
  const clock = { ms: 1_700_000_000_000 };
  const open = () => place.open({ now: () => clock.ms });
  const kept = () => {
    using db = new DatabaseSync(join(place.directory, "everstream.db"));
    const count = (sql: string) =>
      Number(db.prepare(`SELECT count(*) AS n FROM ${sql}`).get()!.n);
    return [count("requests"), count("responses WHERE events IS NOT NULL")];
  };
  let store = await open();
  const request = (i: number) => ({
    once: { key: `k${i}`, fingerprint: "f" },
  });
  for (let i = 0; i < 150; i++) {
    const turn = begin(store, `r${i}`, request(i));
    turn.append({ type: "done", sequence_number: 0 });
    turn.commit(result(`r${i}`));
    clock.ms++;
  }
  clock.ms += 24 * 3600 * 1000;
  take(store, "again", request(149));
  await store.close();
  assertEquals(kept(), [50, 50]);

  store = await open();
  for (let i = 0; i < 150; i++) {
    assertEquals(store.responses.events(OWNER, `r${i}`, -1), null);
  }
  take(store, "later");
  await store.close();
  assertEquals(kept(), [1, 0]);
});
