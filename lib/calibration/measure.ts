/** Measures how much of their attention a model's layers give to near tokens. @module */
import { SinkWindow } from "../cache/sink_window.ts";
import type { LayeredDecoder } from "../decoder/layered_decoder.ts";

/**
 * Reads a conversation and gives, by layer, the mass that its last 32 queries put on the first 4 and the
 * most recent tokens: an average over heads, 0 … 1.
 *
 * @param tokens as many as the decoder holds, or fewer
 */
export async function measureMass(
  decoder: LayeredDecoder,
  tokens: readonly number[],
): Promise<number[]> {
  const { sinks, window } = decoder.room;
  decoder.open(0, new SinkWindow(sinks, window));
  for (let at = 0; at < tokens.length;) {
    const count = Math.min(decoder.limit(0), tokens.length - at);
    const chunk = tokens.slice(at, at + count);
    at += count;
    const logits = at === tokens.length ? 1 : 0;
    await decoder.run([{ slot: 0, tokens: chunk, logits }]);
  }
  return decoder.attentionMass(0);
}
