/**
 * What each policy keeps of a conversation. One that treats layers differently gives several
 * {@linkcode LayerGroup}s.
 *
 * @module
 */
import { lazyWindow } from "../cache/lazy_layers.ts";
import { lazyLayerCount, type LazyLayers } from "../cache/lazy_share.ts";
import { POLICY_NAMES, type PolicyName } from "../cache/policy.ts";

/** Tokens that a cache has room for: sinks, and a window. */
export interface Room {
  readonly sinks: number;
  readonly window: number;
}

/** Layers that keep the same tokens. */
export interface LayerGroup extends Room {
  readonly layers: number;
}

/** A conversation to keep, and the room that an operator gives it. */
export interface Conversation extends Room {
  /** Its length. */
  readonly tokens: number;
  /** How many layers `simplayer` makes lazy; default `auto`. */
  readonly lazyLayers?: LazyLayers;
}

/** A policy, as far as memory is concerned. */
export interface PlannedPolicy {
  readonly name: string;
  /**
   * What a model of so many layers has room for, from the conversation's first token on.
   *
   * @throws {RangeError} if there are fewer layers than are to be lazy
   */
  keeps(conversation: Conversation, layers: number): readonly LayerGroup[];
}

const KEEPS: Readonly<Record<PolicyName, PlannedPolicy["keeps"]>> = {
  // The first token is as good as a sink while none is evicted; a slot always has a row for one.
  full: ({ tokens }, layers) => [{ layers, sinks: 1, window: tokens - 1 }],
  window: ({ window }, layers) => [{ layers, sinks: 0, window }],
  "sink-window": ({ sinks, window }, layers) => [{ layers, sinks, window }],
  // What it recomputes, it recomputes in the rows of a window.
  "window-recompute": ({ window }, layers) => [{ layers, sinks: 0, window }],
  simplayer: ({ sinks, window, lazyLayers = "auto" }, layers) => {
    const lazy = lazyLayerCount(lazyLayers, layers);
    const groups = [
      { layers: lazy, sinks, window: lazyWindow(window) },
      { layers: layers - lazy, sinks, window },
    ];
    return groups.filter(({ layers }) => layers > 0);
  },
};

/** Every policy there is. */
export const POLICIES: readonly PlannedPolicy[] = POLICY_NAMES.map((name) => ({
  name,
  keeps: KEEPS[name],
}));
