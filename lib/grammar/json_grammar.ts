/**
 * From a JSON Schema to a grammar of texts that validate against it: not of all of them, but of no
 * others. Properties come in the schema's order, those that it does not name only where
 * `additionalProperties` asks for them, and white space is bounded.
 *
 * XGrammar has a converter of its own. As of 0.1.27 some of what its grammars let through does not
 * validate (quotes of a pattern, tabs in a string of a given length, fractions between bounds), and
 * keywords that it does not know it passes over.
 *
 * @module
 */
import { choice, literal, repeat, Rules } from "./ebnf.ts";
import { counts } from "./counts.ts";
import { SPACE } from "./json_text.ts";
import {
  isObject,
  isOfType,
  jsonText,
  resolve,
  type Schema,
} from "./json_value.ts";
import { anyNumber, isBound, numberBetween } from "./number_grammar.ts";
import { objectBody } from "./object_grammar.ts";
import { SchemaError, type SchemaPath } from "./schema_error.ts";
import { stringBody } from "./string_grammar.ts";

/** Most characters of a grammar. */
const MAX_GRAMMAR = 1 << 18;
/** Most parts of a schema, references followed once. */
const MAX_PARTS = 1_000;
/** Most parts within parts, references followed. */
const MAX_DEPTH = 32;
/** Most values of an `enum`. */
const MAX_VALUES = 1_000;

/** A JSON Schema that any object validates against. */
export const ANY_OBJECT: unknown = { type: "object" };

const BOUNDS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

/** What binds values of each type. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: BOUNDS,
  integer: BOUNDS,
  boolean: [],
  null: [],
};
const TYPES = Object.keys(KEYWORDS);
const BINDING = new Set(Object.values(KEYWORDS).flat());

/** What binds nothing. */
const ANNOTATIONS: ReadonlySet<string> = new Set([
  "$schema",
  "$comment",
  "$defs",
  "definitions",
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
]);

/**
 * The grammar of a schema, in XGrammar's EBNF.
 *
 * @throws {SchemaError} where the schema is not one, has a keyword that no grammar is made of, or is too large
 *
 * @example
 * ```ts
 * import { assert, assertThrows } from "@std/assert";
 * import { jsonGrammar } from "./json_grammar.ts";
 * import { SchemaError } from "./schema_error.ts";
 *
 * assert(jsonGrammar({ type: "boolean" }).startsWith("root ::= "));
 * assertThrows(() => jsonGrammar({ type: "array", uniqueItems: true }), SchemaError, "left out");
 * ```
 */
export function jsonGrammar(schema: unknown): string {
  return grammarOf((rules) => jsonRule(schema, { rules, path: [] }), []);
}

/**
 * The name of the rule of a schema among others.
 *
 * @param of.path what errors' paths begin with
 * @throws {SchemaError} as {@linkcode jsonGrammar}
 * @throws {RangeError} if the rules become too many
 */
export function jsonRule(
  schema: unknown,
  { rules, path }: { rules: Rules; path: SchemaPath },
): string {
  return new SchemaReader(schema, rules, path).read();
}

/**
 * A grammar of bounded size.
 *
 * @param body makes the body of its root, and the other rules
 * @param path of what it is made of, for the error
 * @throws {SchemaError} if it is too large
 */
export function grammarOf(
  body: (rules: Rules) => string,
  path: SchemaPath,
): string {
  const rules = new Rules(MAX_GRAMMAR);
  try {
    return rules.finish(body(rules));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new SchemaError(
      path,
      `smaller: its grammar is over ${MAX_GRAMMAR} characters`,
    );
  }
}

/** Where a part of a schema is, and what is known there. */
interface Place {
  readonly path: SchemaPath;
  readonly depth: number;
  /** Parts that are being read, and nothing was written since. */
  readonly entered: ReadonlySet<unknown>;
}

class SchemaReader {
  readonly #root: unknown;
  readonly #rules: Rules;
  readonly #path: SchemaPath;
  readonly #names = new Map<unknown, string>();
  #any: string | null = null;
  #parts = 0;

  constructor(root: unknown, rules: Rules, path: SchemaPath) {
    this.#root = root;
    this.#rules = rules;
    this.#path = path;
  }

  read(): string {
    const place = { path: this.#path, depth: 0, entered: new Set() };
    return this.#value(this.#root, place);
  }

  /** The name of the rule of a part. */
  #value(schema: unknown, place: Place): string {
    const { path, depth, entered } = place;
    if (schema === true) return this.#anyValue();
    if (!isObject(schema)) {
      throw new SchemaError(
        path,
        "a schema that something fits: an object or true",
      );
    }
    if (entered.has(schema)) {
      throw new SchemaError(
        path,
        "a reference that does not lead back to itself",
      );
    }
    const known = this.#names.get(schema);
    if (known !== undefined) return known;
    if (depth > MAX_DEPTH) {
      throw new SchemaError(
        path,
        `nested at most ${MAX_DEPTH} deep, references followed`,
      );
    }
    if (++this.#parts > MAX_PARTS) {
      throw new SchemaError(
        this.#path,
        `a schema of at most ${MAX_PARTS} parts`,
      );
    }
    const { name, define } = this.#rules.declare();
    this.#names.set(schema, name);
    define(this.#body(schema, {
      ...place,
      entered: new Set([...entered, schema]),
    }));
    return name;
  }

  /** A part of a part, after something was written. */
  #inner(schema: unknown, { path, depth }: Place, ...keys: SchemaPath): string {
    return this.#value(schema, {
      path: [...path, ...keys],
      depth: depth + 1,
      entered: new Set(),
    });
  }

  #body(schema: Schema, place: Place): string {
    const { path } = place;
    const keys = Object.keys(schema).filter((key) => !ANNOTATIONS.has(key));
    if (keys.length === 0) return this.#anyValue();
    const form = ["$ref", "const", "enum", "anyOf", "allOf"]
      .find((form) => keys.includes(form));
    if (form === undefined) return this.#typed(schema, keys, place);
    const valued = form === "const" || form === "enum";
    const beside = keys.find((key) =>
      key !== form && !(valued && key === "type")
    );
    if (beside !== undefined) {
      throw new SchemaError([...path, beside], `left out beside '${form}'`);
    }
    switch (form) {
      case "$ref":
        return this.#reference(schema.$ref, place);
      case "const":
        return this.#values([schema.const], schema, place);
      case "enum":
        return this.#values(schema.enum, schema, place);
      default:
        return this.#alternatives(schema[form], form, place);
    }
  }

  #reference(reference: unknown, place: Place): string {
    const path = [...place.path, "$ref"];
    const target = typeof reference === "string"
      ? resolve(this.#root, reference)
      : undefined;
    if (target === undefined) {
      throw new SchemaError(
        path,
        'a pointer into this schema, as "#/$defs/name"',
      );
    }
    return this.#value(target, { ...place, path, depth: place.depth + 1 });
  }

  #alternatives(schemas: unknown, form: string, place: Place): string {
    const path = [...place.path, form];
    if (!Array.isArray(schemas) || schemas.length === 0) {
      throw new SchemaError(path, "a list of schemas that is not empty");
    }
    if (form === "allOf" && schemas.length > 1) {
      throw new SchemaError(
        path,
        "a list of one schema: no grammar is made of several at once",
      );
    }
    return choice(schemas.map((schema, i) =>
      this.#value(schema, {
        ...place,
        path: [...path, i],
        depth: place.depth + 1,
      })
    ));
  }

  #values(values: unknown, schema: Schema, { path }: Place): string {
    if (
      !Array.isArray(values) || values.length === 0 ||
      values.length > MAX_VALUES
    ) {
      throw new SchemaError(
        [...path, "enum"],
        `a list of 1 to ${MAX_VALUES} values`,
      );
    }
    const types = this.#types(schema, path);
    return choice(values.map((value, i) => {
      const at = "enum" in schema ? [...path, "enum", i] : [...path, "const"];
      if (types !== null && !types.some((type) => isOfType(value, type))) {
        throw new SchemaError(
          at,
          `of the schema's type, ${types.join(" or ")}`,
        );
      }
      return literal(jsonText(value, at));
    }));
  }

  #typed(schema: Schema, keys: readonly string[], place: Place): string {
    const { path } = place;
    const types = this.#types(schema, path);
    const binding = new Set(types?.flatMap((type) => KEYWORDS[type]!));
    for (const key of keys) {
      if (key === "type" || binding.has(key)) continue;
      if (!BINDING.has(key)) {
        throw new SchemaError(
          [...path, key],
          "left out: no grammar is made of this keyword",
        );
      }
      throw types === null
        ? new SchemaError(
          [...path, "type"],
          `there: '${key}' binds nothing without it`,
        )
        : new SchemaError(
          [...path, key],
          `left out: it binds nothing of type ${types.join(" or ")}`,
        );
    }
    return choice(types!.map((type) => this.#ofType(type, schema, place)));
  }

  #types({ type }: Schema, path: SchemaPath): string[] | null {
    if (type === undefined) return null;
    const types: unknown[] = Array.isArray(type) ? type : [type];
    const known = types.length > 0 &&
      types.every((type) => TYPES.includes(type as string));
    if (known) return types as string[];
    throw new SchemaError(
      [...path, "type"],
      `one or a list of ${TYPES.join(", ")}`,
    );
  }

  #ofType(type: string, schema: Schema, place: Place): string {
    switch (type) {
      case "object":
        return this.#object(schema, place);
      case "array":
        return this.#array(schema, place);
      case "string":
        return stringBody(schema, place.path, this.#rules);
      case "boolean":
        return '("true" | "false")';
      case "null":
        return '"null"';
      default:
        return this.#number(schema, { ...place, integer: type === "integer" });
    }
  }

  #object(schema: Schema, place: Place): string {
    const { path } = place;
    const { properties = {}, required = [] } = schema;
    const { additionalProperties = !("properties" in schema) } = schema;
    if (!isObject(properties)) {
      throw new SchemaError([...path, "properties"], "an object of schemas");
    }
    if (!Array.isArray(required)) {
      throw new SchemaError(
        [...path, "required"],
        "a list of properties' names",
      );
    }
    required.forEach((name, i) => {
      if (typeof name === "string" && Object.hasOwn(properties, name)) return;
      throw new SchemaError(
        [...path, "required", i],
        "the name of one of 'properties'",
      );
    });
    const named = Object.entries(properties).map(([name, inner]) => ({
      name,
      value: this.#inner(inner, place, "properties", name),
      required: required.includes(name),
    }));
    return objectBody(named, {
      others: additionalProperties === false
        ? null
        : this.#inner(additionalProperties, place, "additionalProperties"),
      rules: this.#rules,
    });
  }

  #array(schema: Schema, place: Place): string {
    const { min, max } = counts(schema, "Items", place.path);
    const space = this.#rules.add(SPACE);
    if (max === 0) return `"[" ${space} "]"`;
    const item = this.#inner(schema.items ?? true, place, "items");
    const more = `"," ${space} ${item}`;
    const items = `${item} ${
      repeat(more, { min: Math.max(min - 1, 0), max: max - 1 })
    }`;
    return `"[" ${space} ${min === 0 ? `(${items})?` : items} ${space} "]"`;
  }

  #number(
    schema: Schema,
    { path, integer }: Place & { integer: boolean },
  ): string {
    const bounds = BOUNDS.map((key) => {
      const value = schema[key];
      if (value === undefined || typeof value === "number" && isBound(value)) {
        return value as number | undefined;
      }
      throw new SchemaError([...path, key], "a number of at most 15 digits");
    });
    if (bounds.every((bound) => bound === undefined)) {
      return this.#rules.add(anyNumber(integer));
    }
    const [
      min = -Infinity,
      max = Infinity,
      above = -Infinity,
      below = Infinity,
    ] = bounds;
    const body = numberBetween({
      integer,
      min: Math.max(min, above),
      max: Math.min(max, below),
      exclusiveMin: above >= min && above !== -Infinity,
      exclusiveMax: below <= max && below !== Infinity,
    }, this.#rules);
    if (body !== null) return body;
    throw new SchemaError(
      path,
      `a schema with ${integer ? "an integer" : "a number"} between its bounds`,
    );
  }

  /** The name of the rule of any JSON value. */
  #anyValue(): string {
    if (this.#any !== null) return this.#any;
    const { name, define } = this.#rules.declare();
    this.#any = name;
    const place = { path: this.#path, depth: 0, entered: new Set() };
    define(choice(
      ["object", "array", "string", "number", "boolean", "null"]
        .map((type) => this.#ofType(type, {}, place)),
    ));
    return name;
  }
}
