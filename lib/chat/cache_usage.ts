/** What a conversation's cache is at, for the client. @module */
import { visibleMessages } from "../cache/horizon.ts";
import type { Policy } from "../cache/policy.ts";
import type { Decoder } from "../decoder/decoder.ts";
import type { CacheUsage } from "./chat_model.ts";
import type { ConversationLog } from "./conversation_log.ts";

/** A conversation in its slot. */
export interface Seated {
  readonly slot: number;
  readonly policy: Policy;
  readonly log: ConversationLog;
  readonly lane: { readonly decoder: Decoder };
}

/** @param fullTokenBytes bytes of one token in a full cache */
export function cacheUsage(
  turn: Seated,
  fullTokenBytes: number,
): CacheUsage {
  const { slot, log, policy: { name, rows, evict, kvBits }, lane } = turn;
  const { decoder } = lane;
  const seen = decoder.seen(slot);
  const { sinks } = rows;
  const boundaries = boundariesOf(turn);
  const position = rows.horizon(seen, boundaries);
  const messages = visibleMessages(log.starts, { seen, sinks, position });
  return {
    policy: name,
    evict,
    kvBits,
    held: rows.held(seen, boundaries),
    seen,
    evicted: rows.evicted(seen, boundaries),
    capacity: rows.capacity,
    sinks,
    horizon: { position, messages },
    lazyLayers: decoder.lazyLayers(slot),
    bytes: decoder.slotBytes,
    fullBytes: seen * fullTokenBytes,
  };
}

/** Positions at which a conversation's windows begin if they can; none where tokens leave one by one. */
export function boundariesOf(
  { policy, log }: Pick<Seated, "policy" | "log">,
): readonly number[] {
  return policy.evict === "turn" ? log.starts : [];
}
