/**
 * Bob knows all of Ada's ids, and finds nothing by them: whatever operation of the document he sends
 * them to, and wherever in the request, the answer is the one to an id that never was, and nothing of
 * hers has changed. What he sends is made from the document, so that operations to come are tested too.
 */
import { assert, assertEquals } from "@std/assert";
import { digestOf } from "../../lib/access/keys.ts";
import { Database } from "../../lib/store/database.ts";
import { TOKENIZER } from "../chat/scripted_decoder.ts";
import {
  type Asked,
  belongings,
  cancelled,
  filled,
  naming,
  ownPaths,
  requestKey,
  seen,
  send,
  type Who,
} from "./belongings.ts";
import { hostileApp, KEYS } from "./hostile_app.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const SECRET = "The treasure is under the old oak.";

/** Lets the database tell what it is asked while something is done. */
async function listening<T>(
  work: () => Promise<T>,
): Promise<{ result: T; asked: unknown[][] }> {
  const asked: unknown[][] = [];
  const { get, all, run } = Database.prototype;
  const told = { get, all, run };
  for (const [name, method] of Object.entries(told)) {
    Reflect.set(
      Database.prototype,
      name,
      function (this: Database, ...call: unknown[]) {
        asked.push(call);
        return Reflect.apply(method, this, call);
      },
    );
  }
  try {
    return { result: await work(), asked };
  } finally {
    Object.assign(Database.prototype, told);
  }
}

const NEW_ID = /\b[a-z]+[_-][0-9a-f]{32}\b/g;
const TIME = /"(created|created_at|completed_at)":\d+/g;
/** Different for each answer, whoever asks. */
const OF_ONE_ANSWER = new Set(["x-request-id", "date"]);

/** An answer whose tokens are the text that they stand for. */
function detokenized(answer: string): string {
  return answer.replace(
    /(?<="tokens":\[)[\d,]+/,
    (ids) =>
      new TextDecoder().decode(
        Uint8Array.from(
          ids.split(",").flatMap((id) => [
            ...TOKENIZER.bytes(Number(id)),
          ]),
        ),
      ),
  );
}

Deno.test("isolation: another's ids are as good as ids that never were, in each place of each operation", async () => {
  // Without snapshots nothing is asked of the database behind answers.
  await using hostile = await hostileApp({ snapshotBytes: 0 });
  const { app, description: { document, operations } } = hostile;
  const hers = await belongings(hostile, { who: "ada", text: SECRET });
  const own = await belongings(hostile, { who: "bob", text: "I am Bob." });
  const ids = [...hers.conversation, ...hers.item, ...hers.response];
  const names = [...ids, requestKey("ada")];
  const oneOfEach = [
    ...Object.values(hers).map(([first]) => first),
    hers.response.at(-1)!, // under way
    requestKey("ada"),
  ];
  /** What never was, and looks like it. */
  const twin = (text: string, end = "beef") =>
    names.reduce(
      (text, name) => text.replaceAll(name, name.slice(0, -4) + end),
      text,
    );
  const owner = digestOf(KEYS.ada).slice(0, 32);
  const before = await seen(hostile, "ada", hers);
  assert(before.length >= 15 && before.every((text) => text !== ""));

  /** Bob's answer, without what tells it from any other. */
  async function answer(asked: Asked) {
    const sent = JSON.stringify(asked);
    const { result, asked: queries } = await listening(async () => {
      const response = await send(hostile, "bob", asked);
      return { response, text: await response.text() };
    });
    const { response, text } = result;
    const about = `${sent}: ${text}`;
    assert(!text.includes(SECRET), about);
    for (const id of ids) {
      assert(sent.includes(id) || !text.includes(id), about);
    }
    assert(!queries.some((call) => call.includes(owner)), about);
    const headers = [...response.headers]
      .filter(([name]) => !OF_ONE_ANSWER.has(name));
    return {
      status: response.status,
      headers,
      text: twin(detokenized(text)).replaceAll(NEW_ID, "NEW").replaceAll(
        TIME,
        "TIME",
      ),
      // In a time that does not tell: what is there is looked up as what is not.
      queries: response.ok ? [] : queries.map(([sql]) => sql),
    };
  }

  for (const one of operations) {
    const ways = oneOfEach.flatMap((
      name,
    ) => [...naming(name, one, { own, document })]);
    for (const path of ownPaths(one.path, hers)) {
      ways.push({ method: one.method, path });
    }
    if (one.method === "get") { // lists of his own
      for (const path of ownPaths(one.path, own)) {
        ways.push({ method: one.method, path });
      }
    }
    for (const asked of ways) {
      const absent = (end: string): Asked =>
        JSON.parse(twin(JSON.stringify(asked), end));
      // What begins alike may be in a cache of Bob's: let it be there for both.
      await answer(absent("cafe"));
      const found = await answer(asked);
      assertEquals(found, await answer(absent("beef")), JSON.stringify(asked));
    }
    assertEquals(await seen(hostile, "ada", hers), before, one.path);
  }
  assertEquals(app.reported, []);
  await cancelled(hostile, "ada", hers);
  await cancelled(hostile, "bob", own);
});

Deno.test("isolation: nobody comes in without a key of this server's, whatever he names", async () => {
  await using hostile = await hostileApp();
  const hers = await belongings(hostile, { who: "ada", text: SECRET });
  const closed = hostile.description.operations.filter(({ operation }) =>
    operation.security.length > 0
  );
  assert(closed.length > 20);
  const wrong = [
    "",
    "Bearer ",
    `Bearer ${KEYS.ada}0`,
    `Bearer ${KEYS.ada.toUpperCase()}`,
    `Bearer ${digestOf(KEYS.ada)}`,
    `Basic ${btoa(`ada:${KEYS.ada}`)}`,
    `Bearer ${KEYS.ada} ${KEYS.bob}`,
  ];
  const before = await seen(hostile, "ada", hers);
  for (const { method, path, operation } of closed) {
    const body = operation.requestBody?.content["application/json"].example;
    for (const authorization of wrong) {
      const texts = new Set<string>();
      for (const own of [...ownPaths(path, hers), filled(path, ["x", "y"])]) {
        const asked = { method, path: own, body, headers: { authorization } };
        const response = await send(hostile, "bob", asked);
        texts.add(await response.text());
        assertEquals(response.status, 401, `${authorization} ${own}`);
      }
      assertEquals(texts.size, 1, path);
    }
  }
  assertEquals(await seen(hostile, "ada", hers), before);
  await cancelled(hostile, "ada", hers);
});

Deno.test("isolation: another's requests are not one's own, whatever they are called", async () => {
  await using hostile = await hostileApp();
  const create = async (who: Who, headers: Record<string, string>) => {
    const body = { input: SECRET };
    const path = "/v1/responses";
    const asked = { method: "POST", path, body, headers };
    const response = await send(hostile, who, asked);
    const replayed = response.headers.get("idempotent-replayed");
    return { id: (await response.json()).id, replayed };
  };
  const called = { "idempotency-key": "the same" };
  const retried = { "x-stainless-retry-count": "1" };
  for (const headers of [called, retried]) {
    const { id } = await create("ada", headers);
    assertEquals(await create("ada", headers), { id, replayed: "true" });
    const his = await create("bob", headers);
    assertEquals(his.replayed, null);
    assert(his.id !== id);
  }
});

Deno.test("isolation: what another has said is in no cache of one's own", async () => {
  await using hostile = await hostileApp();
  const cached = async (who: Who) => {
    const body = { messages: [{ role: "user", content: SECRET }] };
    const path = "/v1/chat/completions";
    const response = await send(hostile, who, { method: "POST", path, body });
    const { usage } = await response.json();
    return usage.prompt_tokens_details.cached_tokens;
  };
  assertEquals(await cached("ada"), 0);
  assertEquals(await cached("bob"), 0);
  assert(await cached("ada") > 0);
});
