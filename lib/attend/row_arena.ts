/**
 * Memory for rows that are read where they lie, by an engine or by our kernel: in large pages, as far as the
 * system has them.
 *
 * @module
 */
import { READ_BEHIND } from "../../kernels/attend_job.ts";
import { conversationBytes, type LayerCache } from "../cache/layout.ts";
import {
  type ClaimRows,
  ROW_ARRAYS,
  type RowData,
} from "../cache/layer_memory.ts";
import { addressOf } from "../engine/native/address.ts";
import { adviseHugePages } from "../engine/native/huge_pages.ts";

/** Vectors, and lines of a CPU's cache, do not cross borders. */
const ALIGNMENT = 64;

/** One memory for the rows of all slots. */
export class RowArena {
  readonly #buffer: ArrayBuffer;
  /** By layer: where its tensors begin, in their order, in bytes. */
  readonly #starts: readonly (readonly number[])[];

  /** Claims the memory, zeroed. */
  constructor(layers: readonly LayerCache[], slots: number) {
    let end = 0;
    const places = layers.map((layer) =>
      layer.tensors.map((tensor) => {
        const place = end;
        const rows = conversationBytes([{ ...layer, tensors: [tensor] }]);
        end += Math.ceil(slots * rows / ALIGNMENT) * ALIGNMENT;
        return place;
      })
    );
    this.#buffer = new ArrayBuffer(ALIGNMENT + end + READ_BEHIND);
    adviseHugePages(this.#buffer);
    // Filled, so that the system hands over the memory now and not page by page.
    new Uint8Array(this.#buffer).fill(0);
    const past = Number(addressOf(this.#buffer) % BigInt(ALIGNMENT));
    this.#starts = places.map((of) =>
      of.map((place) => ALIGNMENT - past + place)
    );
  }

  /** Where a layer's tensors, of all slots, are claimed. */
  rowsOf(layer: number): ClaimRows {
    return (tensor, { type, elements }) => {
      const Rows: new (...of: [ArrayBuffer, number, number]) => RowData =
        ROW_ARRAYS[type];
      return new Rows(this.#buffer, this.#starts[layer]![tensor]!, elements);
    };
  }

  /** Address of a layer's tensor. */
  address(layer: number, tensor: number): bigint {
    return addressOf(this.#buffer) + BigInt(this.#starts[layer]![tensor]!);
  }
}
