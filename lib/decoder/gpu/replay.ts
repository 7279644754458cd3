/** Brings conversations back to where they were. @module */
import { chunkLimit } from "../../cache/gpu_rows.ts";
import { appended, type Held, nothingHeld } from "../../cache/held.ts";
import type { SinkWindow } from "../../cache/sink_window.ts";
import type { GpuModel } from "./gpu_model.ts";
import type { Way } from "./history.ts";

/**
 * Puts a conversation into a slot by its copy and the tokens since, which are computed on the stage:
 * whatever is there is lost.
 *
 * @throws {Error} if the device fails; the slot is undefined then
 */
export async function replay(
  model: GpuModel,
  { slot, policy }: { slot: number; policy: SinkWindow },
  { copy, tokens, boundaries }: Way,
): Promise<void> {
  let held: Held = copy ?? nothingHeld(policy);
  if (copy) {
    const data = await copy.data;
    await model.restore(slot, held, { data, given: copy.rows });
  }
  if (tokens.length === 0) return;
  if (held.seen > 0) model.load(slot, held);
  held = { ...held, boundaries: [...held.boundaries, ...boundaries] };
  for (let at = 0; at < tokens.length;) {
    const limit = chunkLimit(model.stage.rows, held);
    const part = tokens.slice(at, at + limit);
    const count = part.length;
    const lane = { ...held, count, tokens: part, logits: 0 };
    model.commit(await model.compute(model.stage, [lane]));
    at += count;
    held = appended(held, count);
  }
  model.store(slot, held);
}
