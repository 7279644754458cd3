import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Position } from "../../lib/store/records.ts";
import type { Store } from "../../lib/store/store.ts";
import type { Turn } from "../../lib/store/turn.ts";
import { GoneError } from "../../lib/store/under_way.ts";
import { NaiveStore } from "./_naive_store.ts";
import {
  cache,
  item,
  itemsOf,
  KEY,
  logOf,
  memory,
  OWNER,
  type Place,
  result,
  temporaryDirectory,
} from "./_turns.ts";

const CONVERSATIONS = ["c0", "c1", "c2"];

const ACTIONS = {
  create: 2,
  add: 2,
  deleteItem: 2,
  beginInConversation: 5,
  beginAfter: 5,
  beginNew: 2,
  commit: 10,
  abandon: 1,
  deleteConversation: 1,
  deleteResponse: 2,
  save: 3,
  restart: 1,
} as const;

type Action = keyof typeof ACTIONS;

const STEPS = fc.array(
  fc.tuple(
    fc.constantFrom(
      ...Object.entries(ACTIONS).flatMap(([action, weight]) =>
        Array<Action>(weight).fill(action as Action)
      ),
    ),
    fc.nat(1000),
  ),
  { maxLength: 80, size: "max" },
);

/** A store beside the naive one, to which the same is done. */
class Pair {
  readonly #place: Place;
  readonly #naive = new NaiveStore();
  readonly #turns = new Map<string, Turn>();
  /** Ids of all responses that have begun. */
  readonly #begun: string[] = [];
  /** What was saved last, by turn. */
  readonly #saved = new Map<number, number>();
  #store: Store;
  #made = 0;

  constructor(place: Place, store: Store) {
    this.#place = place;
    this.#store = store;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  /** Does one thing to both; `pick` chooses what it is done to. */
  async step(action: Action, pick: number): Promise<void> {
    const store = this.#store, naive = this.#naive;
    const conversation = CONVERSATIONS[pick % CONVERSATIONS.length]!;
    const response = this.#begun[pick % this.#begun.length] ?? "nothing";
    switch (action) {
      case "create": {
        const create = () =>
          store.conversations.create(OWNER, { id: conversation, metadata: {} });
        assertEquals(
          outcomeOf(create) === "threw",
          !naive.create(conversation),
        );
        break;
      }
      case "add": {
        const id = `i${this.#made++}`;
        assertEquals(
          store.items.add(OWNER, conversation, [item(id)]),
          naive.add(conversation, id),
        );
        break;
      }
      case "deleteItem": {
        const items = naive.conversations.get(conversation)?.items ?? [];
        const id = items[pick % items.length]?.id ?? "nothing";
        assertEquals(
          await store.items.delete(OWNER, conversation, id),
          naive.deleteItem(conversation, id),
        );
        break;
      }
      case "beginInConversation":
        return this.#begin({ conversation });
      case "beginAfter":
        return this.#begin({ previous: response });
      case "beginNew":
        return this.#begin({});
      case "commit": {
        const turn = this.#turns.get(response);
        if (!turn) break;
        const outcome = outcomeOf(() => turn.commit(result(response)));
        assertEquals(outcome, naive.commit(response));
        break;
      }
      case "abandon":
        this.#turns.get(response)?.abandon({ id: response, status: "failed" });
        naive.abandon(response);
        break;
      case "deleteConversation":
        assertEquals(
          await store.conversations.delete(OWNER, conversation),
          naive.deleteConversation(conversation),
        );
        break;
      case "deleteResponse":
        assertEquals(
          await store.responses.delete(OWNER, response),
          naive.deleteResponse(response),
        );
        break;
      case "save": {
        const at = store.responses.read(OWNER, response)?.position;
        if (!at) break;
        const value = this.#made++ % 256;
        const saved = cache(100 + pick % 200, value);
        assert(await store.snapshots.save(OWNER, at.turn, saved));
        this.#saved.set(at.turn, value);
        break;
      }
      case "restart":
        if (this.#place.directory === null) break;
        await store.close();
        this.#store = await this.#place.open();
        this.#turns.clear();
        naive.restart();
    }
  }

  /** Checks that both hold the same. */
  async check(): Promise<void> {
    const store = this.#store, naive = this.#naive;
    for (const id of CONVERSATIONS) {
      const expected = naive.conversations.get(id)?.items.map(({ id }) => id);
      assertEquals(itemsOf(store, id), expected ?? null);
    }
    for (const id of this.#begun) {
      const response = store.responses.read(OWNER, id);
      const expected = naive.responses.get(id) ?? null;
      const { status, conversation, context } = expected ?? {};
      assertEquals(response?.body.status, status);
      assertEquals(response?.conversation, conversation);
      if (!response?.position) assertEquals(context ?? null, null);
      else await this.#checkLog(response.position, context!);
    }
    assert(store.snapshots.bytes <= store.snapshots.capacity);
  }

  async #checkLog(position: Position, context: string[]): Promise<void> {
    const store = this.#store;
    assertEquals(logOf(store, position.turn), context);
    const { number, tokens } = position;
    assertEquals([number, tokens], [context.length, context.join("").length]);
    const loaded = await store.snapshots.load(OWNER, position.turn, KEY);
    if (!loaded) return;
    const { turn } = loaded.position;
    assertEquals(loaded.bytes[0], this.#saved.get(turn));
    assertEquals(
      logOf(store, turn),
      context.slice(0, loaded.position.number),
    );
  }

  #begin(to: { conversation?: string; previous?: string }): void {
    const id = `r${this.#made++}`;
    const { conversation, previous } = to;
    const begun = this.#store.turns.begin(OWNER, {
      body: { id, status: "in_progress" },
      input: [item(`${id}_in`)],
      continues: conversation !== undefined
        ? { conversation }
        : previous !== undefined
        ? { response: previous }
        : null,
    });
    assertEquals(begun.outcome, this.#naive.begin(id, to));
    if (begun.outcome !== "begun") return;
    this.#begun.push(id);
    this.#turns.set(id, begun.turn);
  }
}

function outcomeOf(call: () => unknown): string {
  try {
    call();
    return "done";
  } catch (error) {
    return error instanceof GoneError ? "gone" : "threw";
  }
}

function modelTest(
  name: string,
  { place, runs }: { place: () => Promise<Place>; runs: number },
): void {
  Deno.test(`store ${name} does what maps of plain copies do`, async () => {
    await fc.assert(
      fc.asyncProperty(STEPS, async (steps) => {
        await using somewhere = await place();
        const pair = new Pair(somewhere, await somewhere.open());
        try {
          for (const [action, pick] of steps) {
            await pair.step(action, pick);
            await pair.check();
          }
        } finally {
          await pair.close();
        }
      }),
      { numRuns: runs },
    );
  });
}

modelTest("in memory", { place: memory, runs: 150 });
modelTest("in a directory", { place: temporaryDirectory, runs: 15 });
