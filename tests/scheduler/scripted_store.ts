/**
 * A decoder's slots without a decoder: a slot's cache is a text, calls are recorded, and saving and
 * restoring fail when they are told to.
 *
 * @module
 */
import { assertExists } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { Snapshot } from "../../lib/decoder/decoder.ts";
import type { SlotStore } from "../../lib/scheduler/slot_table.ts";

export class ScriptedStore implements SlotStore {
  readonly slots: number;
  readonly slotBytes = 100;
  /** What each slot's cache holds; a test writes it as a decoder would. */
  readonly caches: string[];
  /** `save SLOT CACHE` and `restore SLOT CACHE`. */
  readonly calls: string[] = [];
  /** What restoring waits for. */
  gate = Promise.resolve();
  failing: { save?: boolean; restore?: boolean } = {};
  readonly #saved = new Map<Snapshot, string>();

  constructor(slots: number) {
    this.slots = slots;
    this.caches = Array(slots).fill("");
  }

  close(slot: number): void {
    this.caches[slot] = "";
  }

  /** Takes ten bytes for each character. */
  save(slot: number): Snapshot {
    const cache = this.caches[slot]!;
    this.calls.push(`save ${slot} ${cache}`);
    if (this.failing.save) throw new Error("no memory left");
    const snapshot = {
      policy: new SinkWindow(0, 1),
      seen: cache.length,
      bytes: 10 * cache.length,
    };
    this.#saved.set(snapshot, cache);
    return snapshot;
  }

  async restore(slot: number, snapshot: Snapshot): Promise<void> {
    const cache = this.#saved.get(snapshot);
    assertExists(cache, "restored what was not saved, or twice");
    this.#saved.delete(snapshot);
    this.calls.push(`restore ${slot} ${cache}`);
    if (this.failing.restore) throw new RangeError("does not fit");
    await this.gate;
    this.caches[slot] = cache;
  }
}
