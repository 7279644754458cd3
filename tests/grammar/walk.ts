/** Texts that a grammar lets through, written by a model that knows nothing. @module */
import { assert } from "@std/assert";
import type { Constraint } from "../../lib/grammar/grammar_thread.ts";
import { allows } from "../../lib/sampling/token_mask.ts";
import type { Tokenizer } from "../../lib/text/tokenizer.ts";

/**
 * A text of a grammar, of tokens at random: `null` if it has no end within `most` tokens.
 *
 * @param random a number in [0, 1)
 */
export async function walk(
  constraint: Constraint,
  tokenizer: Tokenizer,
  { random, most = 600 }: { random: () => number; most?: number },
): Promise<string | null> {
  const bytes: number[] = [];
  const all = Array.from({ length: tokenizer.size }, (_, id) => id);
  // What ends something is likelier, or few texts would end.
  const ends = ['"', "}", "]", ",", ":"].flatMap((t) => tokenizer.encode(t));
  for (let count = 0; count < most; count++) {
    const mask = await constraint.mask();
    const allowed = all.filter((id) => allows(mask, id));
    assert(allowed.length > 0);
    const end = allowed.find((id) => tokenizer.endIds.has(id));
    const others = allowed.filter((id) => !tokenizer.endIds.has(id));
    if (end !== undefined && (others.length === 0 || random() < 0.3)) {
      return new TextDecoder("utf-8", { fatal: true })
        .decode(Uint8Array.from(bytes));
    }
    const closing = others.filter((id) => ends.includes(id));
    const among = closing.length > 0 && random() < 0.4 ? closing : others;
    const token = among[Math.floor(random() * among.length)]!;
    bytes.push(...tokenizer.bytes(token));
    constraint.accept(token);
  }
  return null;
}
