/** Tokens of a file of plain text. @module */
import type { Tokenizer } from "../lib/text/tokenizer.ts";

/** Most bytes that a token of ordinary text takes on average, with room to spare. */
const BYTES_PER_TOKEN = 8;

/**
 * The first `count` tokens of a text from byte `skip` on.
 *
 * @throws {RangeError} if there are fewer.
 */
export async function readTextTokens(
  tokenizer: Tokenizer,
  path: string,
  { skip, count }: { skip: number; count: number },
): Promise<number[]> {
  const bytes = await Deno.readFile(path);
  const text = new TextDecoder().decode(
    bytes.subarray(skip, skip + count * BYTES_PER_TOKEN),
  );
  const tokens = tokenizer.encode(text);
  if (tokens.length < count) {
    throw new RangeError(
      `Cannot take ${count} tokens of ${path}: it has ${tokens.length}`,
    );
  }
  return tokens.slice(0, count);
}
