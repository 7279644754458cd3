/**
 * A process that takes turns until it is killed, and says of each that it has committed it: what it
 * says must be there afterwards.
 *
 * @module
 */
import { openStore } from "../../lib/store/store.ts";
import { begin, cache, itemsOf, result } from "./_turns.ts";

const store = await openStore(Deno.args[0]!, { snapshotBytes: 1 << 20 });
if (itemsOf(store, "conv") === null) {
  store.conversations.create("ada", { id: "conv", metadata: {} });
}
for (let i = itemsOf(store, "conv")!.length / 2;; i++) {
  const id = `r${i}`;
  const turn = begin(store, crypto.randomUUID(), {
    continues: { conversation: "conv" },
    input: [{ id: `${id}_in` }],
    once: { key: id, fingerprint: id },
  });
  turn.append({ type: "delta", sequence_number: 0 });
  const { body } = result(turn.response, {});
  const position = turn.commit(result(id, { body }));
  console.log(id);
  void store.snapshots.save("ada", position.turn, cache(1 << 17, i));
  await new Promise((resolve) => setTimeout(resolve));
}
