/**
 * Bob knows all of Ada's ids, and finds nothing by them: whatever operation of the document he sends
 * them to, and wherever in the request, the answer is the one to an id that never was, and nothing of
 * hers has changed. What he sends is made from the document, so that operations to come are tested too.
 */
import { assert, assertEquals } from "@std/assert";
import { digestOf } from "../../lib/access/keys.ts";
import { Database } from "../../lib/store/database.ts";
import { TOKENIZER } from "../chat/scripted_decoder.ts";
import type { Described, Json } from "../openapi/described.ts";
import { HOLD, type HostileApp, hostileApp, KEYS } from "./hostile_app.ts";
import { placed } from "./placed.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Who = keyof typeof KEYS;

/** What someone has that has a name. */
interface Belongings {
  readonly conversation: readonly string[];
  readonly item: readonly string[];
  readonly response: readonly string[];
}

/** What each parameter of a path names, by the path up to it; `null`: what is everybody's. */
const NAMED: Readonly<Record<string, keyof Belongings | null>> = {
  "/v1/conversations/{id}": "conversation",
  "/v1/conversations/{id}/items/{item}": "item",
  "/v1/responses/{id}": "response",
  "/v1/models/{model}": null,
};

/** A request. */
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Json;
}

const SECRET = "The treasure is under the old oak.";
const PARAMETER = /\{\w+\}/g;

function send(
  { app }: HostileApp,
  who: Who,
  { method, path, body, headers = {} }: Asked,
): Promise<Response> {
  const authorization = `Bearer ${KEYS[who]}`;
  return app.send(method, path, body, { authorization, ...headers });
}

/** How somebody names a request, so that it is done once. */
function requestKey(who: Who): string {
  return `request 0001 of ${who}`;
}

/** Makes some of everything. @param text is in all of it */
async function belongings(
  hostile: HostileApp,
  { who, text }: { who: Who; text: string },
): Promise<Belongings> {
  const post = async (path: string, body: Json, headers = {}) => {
    const asked = { method: "POST", path: `/v1/${path}`, body, headers };
    const response = await send(hostile, who, asked);
    const answer = await response.text();
    assertEquals(response.status, 200, answer);
    return /"id":"(\w+)"/.exec(answer)![1]!;
  };
  const metadata = { text };
  const items = [text, "There is more."].map((content) => ({
    role: "user",
    content,
  }));
  const conversation = await post("conversations", { items, metadata });
  const turn = { input: text, metadata };
  const inConversation = await post("responses", { ...turn, conversation }, {
    "idempotency-key": requestKey(who),
  });
  const first = await post("responses", { ...turn, stream: true });
  const second = await post("responses", {
    ...turn,
    previous_response_id: first,
  });
  const underWay = await post("responses", { input: HOLD, background: true });
  const list = await send(hostile, who, {
    method: "GET",
    path: `/v1/conversations/${conversation}/items`,
  });
  return {
    conversation: [conversation],
    item: (await list.json()).data.map(({ id }: Json) => id),
    response: [inConversation, first, second, underWay],
  };
}

/** What the parameters of a path name. */
function kindsOf(path: string): (keyof Belongings | null)[] {
  return [...path.matchAll(PARAMETER)].map(({ 0: name, index }) => {
    const upTo = path.slice(0, index + name.length);
    assert(
      upTo in NAMED,
      `Nobody says what ${upTo} names: say so in NAMED, and make one in belongings()`,
    );
    return NAMED[upTo]!;
  });
}

/** A path with these for its parameters. */
function filled(path: string, values: readonly string[]): string {
  const left = [...values];
  return path.replaceAll(PARAMETER, () => left.shift()!);
}

/** All ways to fill a path with what belongs to one. */
function ownPaths(path: string, own: Belongings): string[] {
  const ways = kindsOf(path).reduce<string[][]>(
    (ways, kind) =>
      ways.flatMap((way) =>
        (kind ? own[kind] : ["default"]).map((id) => [...way, id])
      ),
    [[]],
  );
  return ways.map((way) => filled(path, way));
}

/** Requests that have a name of someone else's in one place, for each place that an operation has. */
function* naming(
  name: string,
  { method, path, operation }: Described,
  { own, document }: { own: Belongings; document: Json },
): Generator<Asked> {
  const mine = kindsOf(path).map((kind) => kind ? own[kind][0]! : "default");
  for (const i of mine.keys()) {
    yield { method, path: filled(path, mine.with(i, name)) };
  }
  const asked = { method, path: filled(path, mine) };
  const content = operation.requestBody?.content["application/json"];
  const body = content?.example;
  for (const { name: parameter, in: where, required } of operation.parameters) {
    assert(where === "path" || !required, `what is a good ${parameter}?`);
    if (where === "query") {
      yield { ...asked, path: `${asked.path}?${parameter}=${name}` };
    }
    if (where === "header") {
      yield { ...asked, body, headers: { [parameter]: name } };
    }
  }
  if (!content) return;
  for (const change of placed(name, { schema: content.schema, document })) {
    yield { ...asked, body: { ...body, ...change } };
  }
}

/** All that can be read, as text. */
async function seen(
  hostile: HostileApp,
  who: Who,
  own: Belongings,
): Promise<string[]> {
  const texts: string[] = [];
  for (const { method, path, operation } of hostile.description.operations) {
    if (method !== "get" || kindsOf(path).every((kind) => !kind)) continue;
    const streams = operation.parameters
      .some(({ name }: Json) => name === "stream");
    for (const own_ of ownPaths(path, own)) {
      const response = await send(hostile, who, { method, path: own_ });
      const text = await response.text();
      assertEquals(response.status, 200, text);
      texts.push(text);
      if (!streams || text.includes('"status":"in_progress","background"')) {
        continue;
      }
      const events = await send(hostile, who, {
        method,
        path: `${own_}?stream=true`,
      });
      texts.push(await events.text());
    }
  }
  return texts;
}

/** Ends what is under way, as its owner can. */
async function cancelled(
  hostile: HostileApp,
  who: Who,
  { response }: Belongings,
): Promise<void> {
  const path = `/v1/responses/${response.at(-1)}/cancel`;
  const answer = await send(hostile, who, { method: "POST", path });
  assertEquals((await answer.json()).status, "cancelled");
}

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

const NEW_ID = /\b(resp_|msg_|conv_|chatcmpl-|cmpl-)[0-9a-f]{32}\b/g;
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
