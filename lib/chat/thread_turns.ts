/** What a turn leaves of its thread. @module */
import { firstFrom } from "../cache/ascending.ts";
import type { ChatParts } from "./chat_parts.ts";
import { ConversationLog } from "./conversation_log.ts";
import { type Run, setupOf, type ThreadEnd } from "./thread.ts";
import type { Memory, Turn } from "./turn.ts";

/** The thread as it was before a turn that has come to nothing; `null` if its cache has moved on. */
export function takeBack(
  { thread, base, pending, slot, owner, policy, lane }: Turn,
  { tokenizer, template }: Pick<ChatParts, "tokenizer" | "template">,
): Memory | null {
  const from = thread?.from;
  const seen = base.tokens - pending.length;
  if (!from || seen === 0) return null;
  try {
    lane.decoder.rewind(slot, seen);
  } catch {
    return null;
  }
  const log = new ConversationLog(tokenizer, template.openers, base);
  return { owner, state: from.state, log, policy, pending };
}

/** What a turn has added to its thread. */
export function grown(turn: Turn, model: string): ThreadEnd {
  const { added, base, pending, log, policy, lane, slot, runs } = turn;
  const before = base.tokens - pending.length;
  const read = runs.reduce((sum, size) => sum + size, 0);
  const steps = lane.decoder.seen(slot) - before - read;
  return {
    tokens: Uint32Array.from(added),
    runs: [...runs.map((size): Run => [size, 1]), [1, steps]],
    starts: log.starts.slice(firstFrom(log.starts, base.tokens)),
    setup: setupOf(model, policy),
  };
}
