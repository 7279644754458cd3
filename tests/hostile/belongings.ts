/** What clients have, and the ways to name it in a request. @module */
import { assert, assertEquals } from "@std/assert";
import type { Described, Json } from "../openapi/described.ts";
import { HOLD, type HostileApp, KEYS } from "./hostile_app.ts";
import { placed } from "./placed.ts";

/** One of them. */
export type Who = keyof typeof KEYS;

/** What someone has that has a name. */
export interface Belongings {
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
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Json;
}

const PARAMETER = /\{\w+\}/g;

/** Sends what one asks. */
export function send(
  { app }: HostileApp,
  who: Who,
  { method, path, body, headers = {} }: Asked,
): Promise<Response> {
  const authorization = `Bearer ${KEYS[who]}`;
  return app.send(method, path, body, { authorization, ...headers });
}

/** How somebody names a request, so that it is done once. */
export function requestKey(who: Who): string {
  return `request 0001 of ${who}`;
}

/** Makes some of everything. @param text is in all of it */
export async function belongings(
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
export function filled(path: string, values: readonly string[]): string {
  const left = [...values];
  return path.replaceAll(PARAMETER, () => left.shift()!);
}

/** All ways to fill a path with what belongs to one. */
export function ownPaths(path: string, own: Belongings): string[] {
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
export function* naming(
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
export async function seen(
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
export async function cancelled(
  hostile: HostileApp,
  who: Who,
  { response }: Belongings,
): Promise<void> {
  const path = `/v1/responses/${response.at(-1)}/cancel`;
  const answer = await send(hostile, who, { method: "POST", path });
  assertEquals((await answer.json()).status, "cancelled");
}
