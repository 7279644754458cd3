/** What plans of a loaded model are made from. @module */
import type { CacheShape } from "../graph/decoder_shape.ts";
import type { LazyLayers } from "../cache/lazy_share.ts";
import type { Room } from "./policies.ts";

/** A loaded model's numbers, and how much its server gives each conversation and all of them. */
export interface CacheSetup extends Room {
  readonly shape: CacheShape;
  readonly lazyLayers: LazyLayers;
  /** Bytes for the caches of all conversations of one kind that are answered. */
  readonly memory: number;
}
