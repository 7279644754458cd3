/** An app's document, and whether what the app does is in it. */
import { assert } from "@std/assert";
import Ajv2020 from "ajv/dist/2020.js";
import type { ValidateFunction } from "ajv";

/** JSON Schema, and what else is an object. */
// deno-lint-ignore no-explicit-any
export type Json = any;

/** An operation of the document. */
export interface Described {
  readonly method: string;
  /** In OpenAPI's pattern. */
  readonly path: string;
  readonly operation: Json;
}

/** Reads and checks by a document. */
export class Description {
  readonly document: Json;
  readonly operations: readonly Described[];
  readonly #ajv = new Ajv2020.default({ strict: false });

  constructor(document: Json) {
    this.document = document;
    this.operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item as Json)
        .map(([method, operation]) => ({ method, path, operation }))
    );
    this.#ajv.addSchema({ ...document, $id: "document" });
  }

  /** The document of an app. */
  static async of(
    app: { request(path: string): Response | Promise<Response> },
  ): Promise<Description> {
    return new Description(await (await app.request("/openapi.json")).json());
  }

  /** The operation that a request is for. */
  find(method: string, url: string): Described {
    const { pathname } = new URL(url, "http://host");
    const found = this.operations.filter((one) =>
      one.method === method.toLowerCase() && patternOf(one.path).test(pathname)
    );
    // What has fewer parameters is meant.
    found.sort((a, b) => a.path.split("{").length - b.path.split("{").length);
    assert(found[0], `${method} ${pathname} is not in the document`);
    return found[0];
  }

  /** Checks by a schema of the document. @param pointer where it is, as `#/components/schemas/Error` */
  validator(pointer: string): ValidateFunction {
    const validate = this.#ajv.getSchema(`document${pointer}`);
    assert(validate, `there is no ${pointer}`);
    return validate;
  }

  /** Checks the body that an operation is sent. */
  body({ path, method }: Described): ValidateFunction {
    return this.validator(
      `#/paths/${escaped(path)}/${method}/requestBody/content/${
        escaped("application/json")
      }/schema`,
    );
  }

  /** Throws unless an operation may answer like that; consumes the response. */
  async check(
    { method, path, operation }: Described,
    response: Response,
  ): Promise<void> {
    const about = `${response.status} of ${method} ${path}`;
    const answer = operation.responses[response.status];
    assert(answer, `${about} is not in the document`);
    const at = answer.$ref ??
      `#/paths/${escaped(path)}/${method}/responses/${response.status}`;
    const { content } = answer.$ref
      ? this.document.components.responses[answer.$ref.split("/").at(-1)]
      : answer;
    const sent = response.headers.get("content-type")!;
    const type = Object.keys(content)
      .find((type) => type === sent || type === sent.split(";")[0]);
    assert(type, `${about} is ${sent}, which is not in the document`);
    const text = await response.text();
    const schema = `${at}/content/${escaped(type)}/schema`;
    if (type === "application/json") {
      this.#require(schema, JSON.parse(text), about);
    }
    if (type === "text/event-stream") {
      const data = content[type].schema.properties.data.anyOf;
      for (const frame of text.split("\n\n")) {
        const sent = /^data: (.*)$/m.exec(frame)?.[1];
        if (sent === undefined || data[1]?.const === sent) continue;
        this.#require(
          `${schema}/properties/data/anyOf/0/contentSchema`,
          JSON.parse(sent),
          about,
        );
      }
    }
  }

  #require(pointer: string, value: unknown, about: string): void {
    const validate = this.validator(pointer);
    assert(
      validate(value),
      `${about}: ${JSON.stringify(validate.errors)} in ${
        JSON.stringify(value)
      }`,
    );
  }
}

/** What a reference, as `#/components/schemas/Error`, refers to; `undefined`: nothing. */
export function resolved($ref: string, document: Json): Json {
  return $ref.slice(2).split("/")
    .reduce((at: Json, key) => at?.[key], document);
}

/** The document whose answers may have nothing that is not in it. */
export function closed(document: Json): Json {
  return JSON.parse(
    JSON.stringify(document),
    (_, value) =>
      value?.type === "object" && value.properties && !("allOf" in value)
        ? { additionalProperties: false, ...value }
        : value,
  );
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`);
}

/** A part of a JSON pointer in a fragment. */
function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));
}
