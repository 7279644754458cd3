import { assert, assertEquals } from "@std/assert";
import type { Store } from "../../lib/store/store.ts";
import {
  cache,
  itemsOf,
  KEY,
  OWNER,
  temporaryDirectory,
  tokensOf,
} from "./_turns.ts";

const KILLS = 20;
const WRITER = new URL("./_writer.ts", import.meta.url).href;

/**
 * Lets the writer write for some time from its start, or from its first commit; gives the number of
 * the last turn that it reports, if any.
 */
async function writeAndKill(
  directory: string,
  { from, milliseconds }: { from: "start" | "commit"; milliseconds: number },
): Promise<number | undefined> {
  await using writer = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-all", WRITER, directory],
    stdout: "piped",
  }).spawn();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const kill = () => {
    timer ??= setTimeout(() => writer.kill("SIGKILL"), milliseconds);
  };
  if (from === "start") kill();
  let said = "";
  for await (const text of writer.stdout.pipeThrough(new TextDecoderStream())) {
    said += text;
    kill();
  }
  assertEquals((await writer.status).signal, "SIGKILL");
  const last = said.split("\n").at(-2); // the last line may be half
  return last === undefined ? undefined : Number(last.slice(1)) + 1;
}

/** Checks that all turns are whole; gives how many there are. */
async function wholeTurns(store: Store): Promise<number> {
  const items = itemsOf(store, "conv")!;
  const turns = items.length / 2;
  assertEquals(
    items,
    Array.from({ length: turns }, (_, i) => [`r${i}_in`, `r${i}_out`]).flat(),
  );
  if (turns === 0) return 0;
  const once = { key: `r${turns - 1}`, fingerprint: `r${turns - 1}` };
  const last = store.turns.begin(OWNER, {
    body: { id: "retry", status: "in_progress" },
    input: [],
    continues: { conversation: "conv" },
    once,
  });
  assert(last.outcome === "repeated");
  const { body, position } = store.responses.read(OWNER, last.response)!;
  assertEquals([body.status, position?.number], ["completed", turns]);
  assertEquals(
    await Array.fromAsync(store.responses.events(OWNER, last.response, -1)!),
    [{ type: "delta", sequence_number: 0 }],
  );
  const log = store.turns.log(OWNER, position!.turn)!;
  assertEquals(
    log.turns.map(({ tokens }) => tokens),
    Array.from({ length: turns }, (_, i) => tokensOf(`r${i}`)),
  );
  const snapshot = await store.snapshots.load(OWNER, position!.turn, KEY);
  if (snapshot) {
    const value = snapshot.position.number - 1;
    assertEquals(snapshot.bytes, cache(1 << 17, value).bytes);
  }
  return turns;
}

Deno.test("store keeps every turn that it has committed, and no half one, through kills", async () => {
  await using place = await temporaryDirectory();
  let before = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const reported = await writeAndKill(
      place.directory,
      kill % 3 > 0
        ? { from: "commit", milliseconds: Math.random() * 60 }
        : { from: "start", milliseconds: Math.random() * 300 },
    ) ?? before;
    const store = await place.open({ snapshotBytes: 1 << 20 });
    const turns = itemsOf(store, "conv") ? await wholeTurns(store) : 0;
    // It may have been killed between a commit and saying so.
    assert(turns === reported || turns === reported + 1);
    await store.close();
    before = turns;
  }
  assert(before > KILLS / 2);
});
