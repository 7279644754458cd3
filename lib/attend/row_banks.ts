/**
 * Memory for rows that are read where they lie: in large pages, as far as the system has them. WebAssembly
 * memories, shared among threads, so that our kernel can read them, too, each with the rows of whole layers behind
 * room for what a step computes.
 *
 * @module
 */
import { conversationBytes, type LayerCache } from "../cache/layout.ts";
import {
  type ClaimRows,
  ROW_ARRAYS,
  type RowMemory,
} from "../cache/layer_memory.ts";
import { adviseHugePages } from "../engine/native/huge_pages.ts";

const PAGE = 65_536;
/** Most bytes of one memory: what 32 bits can point at. */
const MOST = 65_536 * PAGE;
/** Vectors, and lines of a CPU's cache, do not cross borders. */
const ALIGNMENT = 64;
/** The kernel reads up to 3 rows behind a tensor's last. */
const BEHIND = 4_096;

/** Rounds up so that what follows is aligned. */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Memory of all slots. */
export class RowBanks {
  readonly memories: readonly WebAssembly.Memory[];
  /** By layer: which memory, and where in it the layer's tensors begin, in their order, in bytes. */
  readonly layers: readonly { bank: number; starts: readonly number[] }[];

  /**
   * Claims the memory, zeroed.
   *
   * @param of.scratch bytes kept free at the beginning of each memory
   * @param of.most bytes of one memory at most
   * @throws {RangeError} if a layer does not fit a memory
   */
  constructor(
    layers: readonly LayerCache[],
    { slots, scratch, most = MOST }: {
      slots: number;
      scratch: number;
      most?: number;
    },
  ) {
    const first = aligned(scratch);
    const ends: number[] = [];
    this.layers = layers.map((layer, index) => {
      const bytes = layer.tensors.length * ALIGNMENT +
        slots * conversationBytes([layer]);
      if (first + bytes + BEHIND > most) {
        throw new RangeError(
          `Cannot keep ${slots} slots: layer ${index} takes ${bytes} bytes, ` +
            `and ${most} fit a memory. Ask for fewer slots or fewer tokens`,
        );
      }
      const last = ends.at(-1);
      if (last === undefined || last + bytes + BEHIND > most) ends.push(first);
      const bank = ends.length - 1;
      const starts = layer.tensors.map((tensor) => {
        const start = ends[bank]!;
        const rows = conversationBytes([{ ...layer, tensors: [tensor] }]);
        ends[bank] = aligned(start + slots * rows);
        return start;
      });
      return { bank, starts };
    });
    this.memories = ends.map((end) => claimMemory(end + BEHIND));
  }

  /** Where a layer's tensors, of all slots, are claimed. */
  rowsOf(layer: number): ClaimRows {
    const { bank, starts } = this.layers[layer]!;
    const { buffer } = this.memories[bank]!;
    return (tensor, { type, elements }) => {
      const Rows: new (...of: [ArrayBufferLike, number, number]) => RowMemory =
        ROW_ARRAYS[type];
      return new Rows(buffer, starts[tensor]!, elements);
    };
  }
}

function claimMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / PAGE);
  const memory = new WebAssembly.Memory({
    initial: pages,
    maximum: pages,
    shared: true,
  });
  adviseHugePages(memory.buffer);
  // Filled, so that the system hands over the memory now and not page by page.
  new Uint8Array(memory.buffer).fill(0);
  return memory;
}
