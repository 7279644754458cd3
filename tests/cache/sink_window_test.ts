import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  HIDDEN,
  type RowPlace,
  SinkWindow,
} from "../../lib/cache/sink_window.ts";
import { attendedPositions } from "../reference/decoder_reference.ts";

/** A cache that keeps positions in place of rows. */
class Rows {
  readonly sinks: number[];
  readonly ring: number[];
  /** The latest positions behind the sinks, each at itself modulo the tail's length. */
  readonly tail: number[];

  constructor(sinkRows: number, windowRows: number, tailRows = 0) {
    this.sinks = new Array(sinkRows).fill(-1);
    this.ring = new Array(windowRows).fill(-1);
    this.tail = new Array(tailRows).fill(-1);
  }

  /** Writes a position; gives what was there, but for the tail. */
  write({ part, index }: RowPlace, position: number): number {
    if (part === "window" && this.tail.length > 0) {
      this.tail[position % this.tail.length] = position;
    }
    const rows = part === "sinks" ? this.sinks : this.ring;
    assert(
      Number.isInteger(index) && index >= 0 && index < rows.length,
      `no row ${index}`,
    );
    const before = rows[index]!;
    rows[index] = position;
    return before;
  }
}

const policies = fc.record({
  sinks: fc.nat(6),
  window: fc.integer({ min: 1, max: 24 }),
  spareSinks: fc.nat(2),
  spareWindow: fc.nat(3),
});

/** Lengths of messages, some longer than any window; none where tokens leave one by one. */
const messages = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 60 })),
  { maxLength: 200, size: "max" },
);

function boundariesOf(lengths: readonly number[]): number[] {
  let at = 0;
  return lengths.map((length) => (at += length) - length);
}

Deno.test("sink-window cache: every query sees exactly its sinks and its window", () => {
  const chunks = fc.array(fc.integer({ min: 1, max: 60 }), {
    minLength: 1,
    maxLength: 40,
    size: "max",
  });
  let most = 0;
  fc.assert(
    fc.property(
      policies,
      messages,
      chunks,
      fc.nat(3),
      fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 30 })),
      (of, lengths, sizes, spareColumns, tailRows) => {
        const boundaries = boundariesOf(lengths);
        const policy = new SinkWindow(of.sinks, of.window);
        const rows = new Rows(
          Math.max(1, of.sinks) + of.spareSinks,
          of.window + of.spareWindow,
          tailRows,
        );
        let seen = 0;
        for (const size of sizes) {
          const most = Math.min(policy.chunkLimit(seen), tailRows || Infinity);
          const count = Math.min(size, most);
          const visible = visiblePositions(policy, rows, {
            seen,
            count,
            spareColumns,
            boundaries,
          });
          for (let t = 0; t < count; t++) {
            assertEquals(
              visible[t],
              attendedPositions(seen + t, { ...of, boundaries }),
              `query of ${seen + t}`,
            );
          }
          for (let t = 0; t < count; t++) {
            rows.write(policy.place(seen + t), seen + t);
          }
          seen += count;
        }
        most = Math.max(most, seen);
      },
    ),
    { numRuns: 40 },
  );
  assert(most > 500, `longest run was ${most} tokens`);
});

Deno.test("sink-window cache: one chunk of 1,500 tokens is masked as one by one", () => {
  for (const [sinks, window] of [[0, 7], [4, 13], [1, 1]] as const) {
    const policy = new SinkWindow(sinks, window);
    const rows = new Rows(Math.max(1, sinks), window);
    for (let p = 0; p < sinks; p++) rows.write(policy.place(p), p);
    const visible = visiblePositions(policy, rows, {
      seen: sinks,
      count: 1500,
      spareColumns: 0,
      boundaries: [],
    });
    for (const [t, positions] of visible.entries()) {
      assertEquals(positions, attendedPositions(sinks + t, policy));
    }
  }
});

/** Positions that each query of a chunk sees by its mask, in ascending order. */
function visiblePositions(
  policy: SinkWindow,
  rows: Rows,
  { seen, count, spareColumns, boundaries }: {
    seen: number;
    count: number;
    spareColumns: number;
    boundaries: readonly number[];
  },
): number[][] {
  const [sinkRows, windowRows] = [rows.sinks.length, rows.ring.length];
  const tailRows = rows.tail.length;
  const chunkColumns = count + spareColumns;
  const own = Array.from(
    { length: chunkColumns },
    (_, j) => j < count ? seen + j : -1,
  );
  const columns = [...rows.sinks, ...rows.tail, ...rows.ring, ...own];
  const mask = new Float32Array(count * columns.length).fill(7);
  policy.fillMask(mask, { seen, count, chunkColumns, boundaries }, {
    sinkRows,
    windowRows,
    ...tailRows > 0 ? { tailRows } : {},
  });
  const ring = sinkRows + tailRows;
  return Array.from({ length: count }, (_, t) => {
    const row = mask.subarray(t * columns.length, (t + 1) * columns.length);
    assert(row.every((value) => value === 0 || value === Math.fround(HIDDEN)));
    // What the tail holds is not read from the ring.
    const fromRing = columns.filter((_, i) =>
      row[i] === 0 && i >= ring && i < ring + windowRows
    );
    assert(tailRows === 0 || fromRing.every((q) => q <= seen + t - tailRows));
    return columns.filter((_, i) => row[i] === 0).sort((a, b) => a - b);
  });
}

Deno.test("sink-window cache: a token past capacity overwrites the oldest of the window alone", () => {
  fc.assert(
    fc.property(
      policies,
      messages,
      fc.integer({ min: 1, max: 4000 }),
      (of, lengths, tokens) => {
        const boundaries = boundariesOf(lengths);
        const policy = new SinkWindow(of.sinks, of.window);
        const rows = new Rows(of.sinks, of.window);
        for (let p = 0; p < tokens; p++) {
          const overwritten = rows.write(policy.place(p), p);
          assert(
            overwritten === (p < policy.capacity ? -1 : p - policy.window),
          );
        }
        const held = [...rows.sinks, ...rows.ring].filter((p) => p >= 0).sort((
          a,
          b,
        ) => a - b);
        assertEquals(held, attendedPositions(tokens - 1, policy));
        for (const told of [[], boundaries]) {
          const kept = attendedPositions(tokens - 1, {
            ...of,
            boundaries: told,
          });
          assertEquals(policy.held(tokens, told), kept.length);
          assertEquals(policy.evicted(tokens, told), tokens - kept.length);
          assertEquals(
            policy.horizon(tokens, told),
            kept.find((p) => p >= of.sinks) ?? tokens,
          );
        }
      },
    ),
    { numRuns: 100 },
  );
});

Deno.test("sink-window cache: a query asks its sinks from its index in the cache", () => {
  fc.assert(
    fc.property(policies, messages, fc.nat(500), (of, lengths, p) => {
      const policy = new SinkWindow(of.sinks, of.window);
      const boundaries = boundariesOf(lengths);
      const attended = attendedPositions(p, { ...of, boundaries });
      assertEquals(
        policy.sinkQueryPosition(p, boundaries),
        attended.length - 1,
      );
    }),
  );
  fc.assert(
    fc.property(policies, fc.nat(2e9), (of, p) => {
      const policy = new SinkWindow(of.sinks, of.window);
      const capacity = of.sinks + of.window;
      const index = p < capacity
        ? attendedPositions(p, policy).length - 1
        : capacity - 1;
      assertEquals(policy.sinkQueryPosition(p), index);
    }),
  );
});

Deno.test("sink-window cache: positions of 10^9 and more lie where the ring says", () => {
  const policy = new SinkWindow(4, 1020);
  for (const p of [1e9, 2 ** 32 + 5, 2 ** 52 + 1]) {
    const { part, index } = policy.place(p);
    assertEquals([part, index], ["window", Number((BigInt(p) - 4n) % 1020n)]);
    assertEquals(policy.horizon(p + 1), p - 1019);
    assertEquals([policy.held(p + 1), policy.evicted(p + 1)], [
      1024,
      p + 1 - 1024,
    ]);
  }
});

Deno.test("sink-window cache: a chunk with sinks in it ends at capacity, any other where it likes", () => {
  const policy = new SinkWindow(4, 10);
  assertEquals([0, 1, 3, 4, 100].map((seen) => policy.chunkLimit(seen)), [
    14,
    13,
    11,
    Infinity,
    Infinity,
  ]);
  assertEquals(new SinkWindow(0, 3).chunkLimit(0), Infinity);
});

Deno.test("sink-window cache: sizes that make no sense are refused", () => {
  for (const sinks of [-1, 0.5, NaN, Infinity]) {
    assertThrows(
      () => new SinkWindow(sinks, 4),
      RangeError,
      `Cannot keep ${sinks} sinks`,
    );
  }
  for (const window of [0, -3, 1.5, NaN, Infinity]) {
    assertThrows(
      () => new SinkWindow(4, window),
      RangeError,
      `window of ${window} tokens`,
    );
  }
});
