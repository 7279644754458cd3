/** The document and the app it is of: neither has what the other has not. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import Ajv2020 from "ajv/dist/2020.js";
import { digestOf, KeyRing } from "../../lib/access/keys.ts";
import type { AppParts } from "../../lib/app.ts";
import { DOCS_PATHS } from "../../lib/routes/docs.ts";
import { PAGE_PATHS } from "../../lib/routes/page.ts";
import { openStore, type Store } from "../../lib/store/store.ts";
import { testApp } from "../routes/harness.ts";
import { Description, type Json, resolved } from "./described.ts";

Deno.test.sanitizer({ ops: true, resources: true });

async function withApp(
  parts: Partial<AppParts>,
  use: (of: ReturnType<typeof testApp>["app"], store: Store) => Promise<void>,
): Promise<void> {
  const store = await openStore(null, { snapshotBytes: 0 });
  try {
    await use(testApp({}, { store, ...parts }).app, store);
  } finally {
    await store.close();
  }
}

/** All objects in JSON. */
function* objects(json: Json): Generator<Json> {
  if (typeof json !== "object" || json === null) return;
  yield json;
  for (const value of Object.values(json)) yield* objects(value);
}

Deno.test("the document has each of the app's routes, and no others", () =>
  withApp({}, async (app) => {
    const { operations } = await Description.of(app);
    const files = new Set([...PAGE_PATHS, ...DOCS_PATHS]);
    const described = operations.map(({ method, path }) =>
      `${method.toUpperCase()} ${path}`
    );
    const routed = app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${openApiPath(path)}`);
    const undescribed = routed.filter((one) => !described.includes(one));
    assertEquals(
      undescribed.filter((one) => !files.has(one.replace("GET ", ""))),
      [],
    );
    assertEquals(described.filter((one) => !routed.includes(one)), []);
    assertEquals(new Set(described).size, described.length);
  }));

/** A route's pattern as the document has it; the plan's is one that Hono cannot say. */
function openApiPath(path: string): string {
  return path.replace(":path{.+/plan}", "{model}/plan")
    .replaceAll(/:(\w+)(\{.*?\})?/g, "{$1}");
}

Deno.test("what cannot be asked without a store is not in the document", async () => {
  const { operations } = await Description.of(testApp().app);
  const paths = operations.map(({ path }) => path);
  assert(paths.includes("/v1/chat/completions"));
  assertEquals(
    paths.filter((path) => /responses|conversations/.test(path)),
    [],
  );
});

Deno.test("all methods that a path does not have are 405, and the others are named", () =>
  withApp({}, async (app) => {
    const { document } = await Description.of(app);
    for (const [path, item] of Object.entries(document.paths)) {
      const methods = Object.keys(item as Json).map((one) => one.toUpperCase());
      const url = path.replaceAll(/\{\w+\}/g, "x");
      for (const method of ["GET", "POST", "DELETE", "PUT", "PATCH"]) {
        if (methods.includes(method)) continue;
        const response = await app.request(url, { method });
        assertEquals(response.status, 405, `${method} ${path}`);
        assertEquals(response.headers.get("allow"), methods.join(", "));
        await response.body?.cancel();
      }
    }
  }));

for (const keyed of [true, false]) {
  Deno.test(`the document says which operations need a key, keys ${keyed}`, () => {
    const keys = keyed ? new KeyRing([digestOf("es-ada-0123456789")]) : null;
    return withApp({ keys }, async (app) => {
      const { operations } = await Description.of(app);
      for (const { method, path, operation } of operations) {
        const url = path.replaceAll(/\{\w+\}/g, "x");
        const response = await app.request(url, {
          method: method.toUpperCase(),
        });
        await response.body?.cancel();
        const refused = response.status === 401;
        const needed = operation.security.length > 0 &&
          operation.security.every((one: Json) => "key" in one);
        assertEquals(refused, needed, `${method} ${path}`);
        assertEquals(
          "401" in operation.responses,
          operation.security.length > 0,
        );
      }
    });
  });
}

Deno.test("the document says which operations count for limits", () =>
  withApp({ rates: { requests: 1, tokens: 0, streams: 0 } }, async (app) => {
    const { operations } = await Description.of(app);
    for (const { method, path, operation } of operations) {
      const url = path.replaceAll(/\{\w+\}/g, "x");
      // Without keys, an address is a client.
      const hostname = `host of ${method} ${path}`;
      const info = { remoteAddr: { transport: "tcp", hostname } };
      const statuses = [];
      for (let i = 0; i < 2; i++) {
        const init = { method: method.toUpperCase() };
        const response = await app.request(url, init, info);
        await response.body?.cancel();
        statuses.push(response.status);
      }
      assert(statuses[0] !== 429, `${statuses[0]} of ${method} ${path}`);
      const limited = "429" in operation.responses;
      assertEquals(statuses[1] === 429, limited, `${method} ${path}`);
    }
  }));

Deno.test("the document is complete: names, summaries, references, examples", () =>
  withApp({}, async (app) => {
    const description = await Description.of(app);
    const { document, operations } = description;
    assertMatch(document.openapi, /^3\.1\./);
    const ids = operations.map(({ operation }) => operation.operationId);
    assertEquals(new Set(ids).size, ids.length);
    const tags = document.tags.map(({ name }: Json) => name);
    for (const one of operations) {
      const { operationId, summary, tags: [tag], parameters, requestBody } =
        one.operation;
      assert(operationId && summary && tags.includes(tag), one.path);
      const names = parameters.filter((of: Json) => of.in === "path")
        .map((of: Json) => `{${of.name}}`);
      assertEquals(names, one.path.match(/\{\w+\}/g) ?? [], one.path);
      if (!requestBody) continue;
      const { example } = requestBody.content["application/json"];
      const validate = description.body(one);
      assert(validate(example), JSON.stringify(validate.errors));
    }
    for (const { $ref } of objects(document)) {
      if (typeof $ref !== "string") continue;
      const found = resolved($ref, document);
      assert(found, $ref);
    }
  }));

Deno.test("the document's schemas are JSON Schema 2020-12", () =>
  withApp({}, async (app) => {
    const { document } = await Description.of(app);
    const ajv = new Ajv2020.default({ strict: false });
    for (
      const [name, schema] of Object.entries(document.components.schemas)
    ) {
      assert(
        ajv.validateSchema(schema as Json),
        `${name}: ${ajv.errorsText(ajv.errors)}`,
      );
    }
  }));

Deno.test("objects that are sent may have nothing that is not in the document", () =>
  withApp({}, async (app) => {
    const { document } = await Description.of(app);
    const { schemas } = document.components;
    const sent = Object.keys(schemas).filter((name) =>
      /Request$|Update$/.test(name)
    );
    assert(sent.length >= 9, sent.join());
    for (const name of sent) {
      assertEquals(schemas[name].additionalProperties, false, name);
    }
  }));
