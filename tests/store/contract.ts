/** What a store must do, wherever it lives. @module */
import type { Store } from "../../lib/store/store.ts";
import { EVENT_LENGTH, OWNER, type Place } from "./_turns.ts";
import { conversationTests } from "./contract_conversations.ts";
import { deletionTests } from "./contract_deletion.ts";
import { requestTests } from "./contract_requests.ts";
import { snapshotTests } from "./contract_snapshots.ts";
import { turnTests } from "./contract_turns.ts";

/** Adds a test of a store that holds one empty conversation, `conv`. */
export type StoreTest = (
  what: string,
  body: (store: Store, tools: { clock: { ms: number } }) => unknown,
) => void;

/** Adds the tests of stores in one kind of place. */
export function storeContract(name: string, place: () => Promise<Place>): void {
  const test: StoreTest = (what, body) =>
    Deno.test(`store ${name} ${what}`, async () => {
      await using somewhere = await place();
      const clock = { ms: 1_700_000_000_000 };
      const store = await somewhere.open({
        now: () => clock.ms,
        eventLength: EVENT_LENGTH,
      });
      try {
        store.conversations.create(OWNER, { id: "conv", metadata: { a: "1" } });
        await body(store, { clock });
      } finally {
        await store.close();
      }
    });
  conversationTests(test);
  turnTests(test);
  deletionTests(test);
  requestTests(test);
  snapshotTests(test);
}
