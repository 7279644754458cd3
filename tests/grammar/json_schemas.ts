/** Random schemas of the kind that grammars are made of. @module */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";

type Schema = Record<string, unknown> | boolean;

const name = fc.oneof(
  fc.constantFrom(
    "a",
    "ab",
    "abc",
    "b",
    "name",
    "",
    'q"',
    "é",
    "t\t",
  ),
  fc.string({ maxLength: 4 }),
);
const json = fc.jsonValue({ maxDepth: 2 }).map((value) =>
  JSON.parse(JSON.stringify(value))
);
const bound = fc.oneof(
  fc.integer({ min: -1200, max: 1200 }),
  fc.integer({ min: -99999, max: 99999 }).map((n) => n / 1000),
  fc.constantFrom(0, 1, -1, 0.1, 0.25, 9, 10, 99, 100, 1e14, -0.001),
);

const range = fc.tuple(bound, bound, fc.constantFrom(0, 1, 2, 3), fc.nat(3))
  .map(([a, b, exclusive, which]) => ({
    ...(which & 1
      ? { [exclusive & 1 ? "exclusiveMinimum" : "minimum"]: Math.min(a, b) }
      : {}),
    ...(which & 2
      ? { [exclusive & 2 ? "exclusiveMaximum" : "maximum"]: Math.max(a, b) }
      : {}),
  }));

function counts(what: string) {
  return fc.tuple(fc.nat(4), fc.nat(4), fc.nat(3)).map(([a, b, which]) => ({
    ...(which & 1 ? { [`min${what}`]: Math.min(a, b) } : {}),
    ...(which & 2 ? { [`max${what}`]: Math.max(a, b) } : {}),
  }));
}

const atom = fc.constantFrom(
  "a",
  "b",
  ".",
  "\\d",
  "\\w",
  "\\s",
  "\\S",
  "\\D",
  "\\W",
  "[a-f]",
  "[^a-f]",
  '"',
  "\\\\",
  "\\n",
  "é",
  "[\\s\\S]",
  '[^"]',
  "\\.",
  "\\u00e9",
  "[-a]",
  "\\x41",
);
const quantifier = fc.constantFrom(
  "",
  "",
  "*",
  "+",
  "?",
  "{2}",
  "{1,3}",
  "{0,}",
  "*?",
);
const sequence = fc.array(fc.tuple(atom, quantifier), { maxLength: 4 })
  .map((parts) => parts.map((part) => part.join("")).join(""));
const pattern = fc.tuple(sequence, sequence, sequence, quantifier, fc.nat(3))
  .map(([a, b, c, quantifier, shape]) =>
    [
      `^${a}$`,
      `${a}(${b}|${c})${quantifier}`,
      `^(?:${a}|${b})${c}$`,
      `^${a}$|^${b}$`,
    ][shape]!
  );

const leaf: fc.Arbitrary<Schema> = fc.oneof(
  fc.constant<Schema>({ type: "boolean" }),
  fc.constant<Schema>({ type: "null" }),
  fc.constant<Schema>({}),
  counts("Length").map((counts) => ({ type: "string", ...counts })),
  pattern.map((pattern) => ({ type: "string", pattern })),
  range.map((range) => ({ type: "number", ...range })),
  range.map((range) => ({ type: "integer", ...range })),
  fc.uniqueArray(json, {
    minLength: 1,
    maxLength: 4,
    comparator: isDeepStrictEqual,
  }).map((values) => ({
    enum: values,
  })),
  json.map((value) => ({ const: value })),
  counts("Length").map((counts) => ({
    type: ["string", "null", "integer"],
    ...counts,
  })),
);

const plain: fc.Arbitrary<Schema> = fc.letrec<{ schema: Schema }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.tuple(tie("schema"), counts("Items")).map(([items, counts]) => ({
      type: "array",
      items,
      ...counts,
    })),
    fc.tuple(
      fc.dictionary(name, tie("schema"), {
        maxKeys: 4,
        noNullPrototype: true,
      }),
      fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      fc.option(fc.oneof(fc.boolean(), tie("schema")), { nil: undefined }),
    ).map(([properties, required, additionalProperties]) => ({
      type: "object",
      properties,
      required: Object.keys(properties).filter((_, i) => required[i]),
      ...(additionalProperties === undefined ? {} : { additionalProperties }),
    })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({
      anyOf,
    })),
  ),
})).schema;

/** Schemas, some of which nothing fits. */
export const schemas: fc.Arbitrary<Schema> = fc.oneof(
  { weight: 4, arbitrary: plain },
  {
    weight: 1,
    arbitrary: plain.map((value) => ({
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: {
            value,
            next: { anyOf: [{ type: "null" }, { $ref: "#/$defs/node" }] },
          },
          required: ["value"],
        },
      },
    })),
  },
);
