/** Requests that are nearly right, and requests that are anything, from a document. @module */
import fc from "fast-check";
import type { Described, Json } from "../openapi/described.ts";
import { BODY_LIMIT, HOLD, KEYS } from "./hostile_app.ts";
import { anything, fitting, ID, number, text } from "./wild_value.ts";
import type { WireRequest } from "./wire.ts";

/** A request, but for ids that only the server can give: each `{id}` in its text stands for one. */
export type WildRequest = WireRequest & {
  /** Which ids: the nth of the latest. */
  readonly ids: readonly number[];
};

const encoder = new TextEncoder();

/** Bodies: of the operation, of no operation, and no JSON at all. */
function bodyOf(
  operation: Json,
  document: Json,
): fc.Arbitrary<WireRequest["body"]> {
  const content = operation.requestBody?.content["application/json"];
  const { schema = {}, example = {} } = content ?? {};
  const value = fitting(schema, document);
  const json = fc.oneof(
    { weight: 4, arbitrary: value },
    {
      // What is required is there, and few things are wrong.
      weight: 8,
      arbitrary: fc.tuple(value, fc.infiniteStream(fc.nat(7))).map((
        [value, keep],
      ) => ({
        ...example,
        ...Object.fromEntries(
          Object.entries(value ?? {}).filter(() => keep.next().value === 0),
        ),
      })),
    },
    { weight: 1, arbitrary: anything },
  ).map((value) => JSON.stringify(value) ?? "");
  const spliced = fc.tuple(json, fc.nat(), fc.uint8Array({ maxLength: 4 }))
    .map(([json, at, bytes]) => {
      const whole = encoder.encode(json);
      const cut = at % (whole.length + 1);
      return Uint8Array.of(
        ...whole.subarray(0, cut),
        ...bytes,
        ...whole.subarray(cut),
      );
    });
  const large = fc.constantFrom(
    "[".repeat(20_000),
    '{"a":'.repeat(5_000),
    `"${"x".repeat(BODY_LIMIT - 2)}"`,
    `"${"x".repeat(BODY_LIMIT)}"`,
    "9".repeat(30_000),
    " ".repeat(BODY_LIMIT * 3),
  );
  return fc.oneof(
    { weight: 20, arbitrary: json.map((json) => encoder.encode(json)) },
    { weight: 3, arbitrary: spliced },
    { weight: 1, arbitrary: fc.uint8Array() },
    { weight: 1, arbitrary: large.map((text) => encoder.encode(text)) },
    { weight: content ? 1 : 30, arbitrary: fc.constant(null) },
  ) as fc.Arbitrary<WireRequest["body"]>;
}

const METHODS = "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE BREW".split(" ");

/** What a part of a target may be, escaped or not. */
const part = fc.oneof(
  { weight: 8, arbitrary: fc.constant(ID) },
  { weight: 2, arbitrary: fc.constantFrom("default", "scripted") },
  { weight: 2, arbitrary: text.map((text) => escaped(text.toWellFormed())) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "%00",
      "%ff",
      "%",
      "%2e%2e%2f",
      "..",
      "a%2fb",
      "x".repeat(5_000),
      "\u00ff",
    ),
  },
);

function escaped(text: string): string {
  return text === ID ? ID : encodeURIComponent(text);
}

function targetOf({ path, operation }: Described): fc.Arbitrary<string> {
  const filled = fc.infiniteStream(part).map((parts) =>
    path.replaceAll(/\{\w+\}/g, () => parts.next().value)
  );
  const names = operation.parameters
    .filter((one: Json) => one.in === "query")
    .map(({ name }: Json) => name);
  const value = fc.oneof(
    part,
    fc.constantFrom("true", "false", "asc", "desc", "0", "1", "20", "101"),
    number.map(String),
  );
  const query = fc.array(
    fc.tuple(fc.constantFrom("unknown", ...names), value),
    { maxLength: 3 },
  );
  return fc.tuple(
    filled,
    names.length > 0 ? query : fc.oneof(
      { weight: 9, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: query },
    ),
  ).map(([path, query]) =>
    path + query.map(([name, value], i) => `${i ? "&" : "?"}${name}=${value}`)
      .join("")
  );
}

const headerValue = fc.string({
  unit: fc.integer({ min: 0x20, max: 0xff }).filter((unit) => unit !== 0x7f)
    .map((unit) => String.fromCharCode(unit)),
});

/** Headers: mostly those that let a request in. */
function headersOf(operation: Json): fc.Arbitrary<WireRequest["headers"]> {
  const named = (name: string, value: fc.Arbitrary<string>) =>
    value.map((value) => [name, value] as const);
  const key = fc.oneof(
    { weight: 20, arbitrary: fc.constant(`Bearer ${KEYS.ada}`) },
    { weight: 3, arbitrary: fc.constant(`Bearer ${KEYS.bob}`) },
    { weight: 1, arbitrary: headerValue },
  );
  const type = fc.oneof(
    { weight: 20, arbitrary: fc.constant("application/json") },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "APPLICATION/JSON; charset=latin1",
        "text/plain",
        "multipart/form-data; boundary=x",
        ";",
      ),
    },
    { weight: 1, arbitrary: headerValue },
  );
  const own = operation.parameters
    .filter((one: Json) => one.in === "header")
    .map(({ name }: Json) => name);
  const other = fc.constantFrom(
    ...own,
    "idempotency-key",
    "x-stainless-retry-count",
    "x-request-id",
    "origin",
    "accept",
    "accept-encoding",
    "cookie",
    "range",
    "if-none-match",
    "x-forwarded-for",
    "access-control-request-method",
    "traceparent",
  );
  const others = fc.array(
    other.chain((name) =>
      named(
        name,
        fc.oneof(
          { weight: 20, arbitrary: headerValue },
          { weight: 20, arbitrary: fc.constantFrom("0", "1", "a", "*") },
          { weight: 1, arbitrary: fc.constant("x".repeat(34_000)) },
        ),
      )
    ),
    { maxLength: 2 },
  );
  return fc.tuple(
    named("authorization", key),
    named("content-type", type),
    others,
  ).map(([key, type, others]) => [key, type, ...others]);
}

/** Requests for answers that would never end, by clients who leave. */
const abandoned: fc.Arbitrary<WildRequest> = fc.record({
  stream: fc.boolean(),
  bytes: fc.nat(200), // of the answer's head
  ask: fc.constantFrom(
    ["/v1/chat/completions", { messages: [{ role: "user", content: HOLD }] }],
    ["/v1/responses", { input: HOLD, store: false }],
  ),
}).map(({ stream, bytes, ask: [target, body] }) => ({
  method: "POST",
  target: target as string,
  headers: [
    ["authorization", `Bearer ${KEYS.ada}`],
    ["content-type", "application/json"],
  ],
  body: encoder.encode(JSON.stringify({ ...body as Json, stream })),
  cut: false,
  leaves: stream ? bytes : 0,
  ids: [0],
}));

/** Requests of any operation of a document. */
export function wildRequest(
  { operations, document }: {
    operations: readonly Described[];
    document: Json;
  },
): fc.Arbitrary<WildRequest> {
  const ofOperations = operations.map((one) =>
    fc.record({
      method: fc.oneof(
        { weight: 12, arbitrary: fc.constant(one.method.toUpperCase()) },
        { weight: 1, arbitrary: fc.constantFrom(...METHODS) },
      ),
      target: targetOf(one),
      headers: headersOf(one.operation),
      body: bodyOf(one.operation, document),
      cut: fc.nat(40).map((n) => n === 1),
      leaves: fc.oneof(
        { weight: 12, arbitrary: fc.constant(null) },
        { weight: 1, arbitrary: fc.nat(2_000) },
      ),
      ids: fc.array(fc.nat(9), { minLength: 4, maxLength: 4 }),
    })
  );
  return fc.oneof(abandoned, ...ofOperations);
}
