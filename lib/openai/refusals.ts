/** Combinations of parameters that are refused, in a form that the API's document can say too. @module */
import { z } from "zod";

/** A combination, and what is said of it. */
export interface Refusal {
  /** The parameter at fault. */
  readonly name: string;
  /** What it must be instead. */
  readonly must: string;
  /** What the parameters are like that cannot stand together. */
  readonly where: z.ZodRawShape;
}

/** Left out, `null` or `false`. */
export const off = z.literal(false).nullish();

/** Anything but left out or `null`. */
export const given = z.unknown().refine((value) => value != null)
  .meta({ not: { type: "null" } });

/** Left out or `null`. */
export const absent = z.null().optional();

/**
 * A schema that refuses these combinations besides what it refuses itself.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 * import { given, off, withRefusals } from "./refusals.ts";
 *
 * const schema = withRefusals(
 *   z.strictObject({ light: z.boolean().optional(), colour: z.string().optional() }),
 *   [{ name: "colour", must: "left out in the dark", where: { colour: given, light: off } }],
 * );
 * assertEquals(schema.safeParse({ colour: "red" }).success, false);
 * assertEquals(schema.safeParse({ colour: "red", light: true }).success, true);
 * ```
 */
export function withRefusals<Schema extends z.ZodType>(
  schema: Schema,
  refusals: readonly Refusal[],
): Schema {
  const patterns = refusals.map(({ where }) => z.looseObject(where));
  return schema
    .superRefine((value, context) => {
      refusals.forEach(({ name, must }, i) => {
        if (!patterns[i]!.safeParse(value).success) return;
        context.addIssue({ code: "custom", path: [name], message: must });
      });
    })
    .meta({
      ...schema.meta(),
      allOf: refusals.map(({ name, must }, i) => ({
        description: `\`${name}\` must be ${must}.`,
        not: pattern(patterns[i]!),
      })),
    });
}

function pattern(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return rest;
}
