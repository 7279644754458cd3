/** Objects as grammar: which properties, in which order, and which others. @module */
import { choice, literal, oneOf, pointOf, type Rules } from "./ebnf.ts";
import { complement, intersect, PLAIN, SPACE } from "./json_text.ts";

/** A property that a schema names. */
export interface NamedProperty {
  readonly name: string;
  /** The rule of its value. */
  readonly value: string;
  readonly required: boolean;
}

/**
 * An object of these properties, in this order, and then of any others.
 *
 * @param of.others the rule of other properties' values; `null` if there are no others
 */
export function objectBody(
  named: readonly NamedProperty[],
  { others, rules }: { others: string | null; rules: Rules },
): string {
  const space = rules.add(SPACE);
  const other = others === null
    ? null
    : `${
      otherName(named.map(({ name }) => name), rules)
    } ":" ${space} ${others}`;
  // What may follow when something came before, and when nothing did.
  let after = other === null ? '""' : rules.add(`("," ${space} ${other})*`);
  let first = other === null ? '""' : rules.add(`(${other} ${after})?`);
  for (const { name, value, required } of named.toReversed()) {
    const pair = rules.add(
      `${literal(JSON.stringify(name))} ":" ${space} ${value}`,
    );
    const here = `${pair} ${after}`;
    first = rules.add(required ? here : `${here} | ${first}`);
    after = rules.add(
      `("," ${space} ${pair})${required ? "" : "?"} ${after}`,
    );
  }
  return `"{" ${space} ${first} ${space} "}"`;
}

/** A name, without escapes, that is none of these. */
function otherName(names: readonly string[], rules: Rules): string {
  const plain = rules.add(`${oneOf(PLAIN)}* "\\""`);
  /** Of names that go on after what was written. */
  const rest = (names: readonly string[][]): string => {
    if (names.length === 0) return plain;
    const byFirst = Map.groupBy(
      names.filter((name) => name.length > 0),
      ([first]) => first!,
    );
    const bodies = [...byFirst].map(([first, same]) =>
      `${literal(first)} ${rest(same.map((name) => name.slice(1)))}`
    );
    const unlike = complement([...byFirst.keys()].map(pointOf));
    bodies.push(`${oneOf(intersect(unlike, PLAIN))} ${plain}`);
    if (names.every((name) => name.length > 0)) bodies.push('"\\""');
    return rules.add(choice(bodies));
  };
  const written = names.map((name) => Array.from(name))
    .filter((name) => name.every((c) => intersect(PLAIN, [pointOf(c)]).length));
  return `"\\"" ${rest(written)}`;
}
