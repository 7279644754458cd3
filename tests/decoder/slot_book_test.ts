import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { Held } from "../../lib/cache/held.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { DecodeChunk } from "../../lib/decoder/decoder.ts";
import { SlotBook } from "../../lib/decoder/slot_book.ts";

const POLICY = new SinkWindow(2, 6);

/** Two slots with room for 2 sinks and a window of 6; a chunk may have what is left of 10 tokens, at least 1. */
function book(tailRows?: number): SlotBook {
  return new SlotBook({
    slots: 2,
    room: { sinks: 2, window: 6 },
    ...tailRows === undefined ? {} : { tailRows },
    limit: ({ seen }) => Math.max(1, 10 - seen),
  });
}

function held(seen: number, policy = POLICY): Held {
  return { policy, seen, boundaries: [] };
}

function chunk(slot: number, tokens: number, logits = 0) {
  return { slot, tokens: Array<number>(tokens).fill(0), logits };
}

Deno.test("slots: each counts its own conversation's tokens, until another is put there", () => {
  const slots = book();
  assertEquals([slots.at(0), slots.at(1)], [null, null]);
  slots.put(0, held(0));
  slots.put(1, held(7));
  slots.append(chunk(0, 3));
  slots.append(chunk(0, 1));
  slots.append(chunk(1, 100));
  assertEquals(slots.opened(0), held(4));
  assertEquals(slots.at(1), held(107));
  const other = new SinkWindow(0, 1);
  slots.put(1, held(0, other));
  assertEquals(slots.at(1), held(0, other));
  assertEquals(slots.at(0)!.seen, 4);
});

Deno.test("slots: what is not there or not open is refused", () => {
  const slots = book();
  for (const slot of [2, -1, 0.5, NaN]) {
    const message = `Cannot use slot ${slot}: there are 2`;
    for (
      const use of [
        () => slots.at(slot),
        () => slots.opened(slot),
        () => slots.put(slot, held(0)),
        () => slots.append(chunk(slot, 1)),
        () => slots.rewind(slot, 0),
        () => slots.limit(slot),
        () => slots.check([chunk(slot, 1)]),
      ]
    ) assertThrows(use, RangeError, message);
  }
  const message = "Cannot use slot 1: it is not open";
  assertThrows(() => slots.opened(1), RangeError, message);
  assertThrows(() => slots.append(chunk(1, 1)), RangeError, message);
  assertThrows(() => slots.limit(1), RangeError, message);
  assertThrows(() => slots.check([chunk(1, 1)]), RangeError, message);
  assertThrows(() => slots.rewind(1, 0), RangeError, "Cannot rewind slot 1");
});

Deno.test("slots: a policy that needs more rows than a slot has is refused, and the slot is as it was", () => {
  const slots = book();
  slots.put(0, held(5));
  for (const [sinks, window] of [[3, 6], [2, 7], [3, 7]] as const) {
    const policy = new SinkWindow(sinks, window);
    const message =
      `Cannot keep ${sinks} sinks and a window of ${window} tokens: a slot has room for 2 and 6`;
    assertThrows(() => slots.checkRoom(policy), RangeError, message);
    assertThrows(() => slots.put(0, held(0, policy)), RangeError, message);
    assertEquals(slots.at(0), held(5));
  }
  slots.checkRoom(POLICY);
  slots.checkRoom(new SinkWindow(0, 1));
});

Deno.test("slots: a conversation is rewound while nothing of it was overwritten, and only backwards", () => {
  const counts = fc.oneof(
    fc.integer({ min: -2, max: 40 }),
    fc.constantFrom(0.5, NaN, Infinity),
  );
  const tails = fc.constantFrom(undefined, 0, 1, 3, 6, 7);
  fc.assert(fc.property(fc.nat(20), counts, tails, (seen, count, tailRows) => {
    const slots = book(tailRows);
    slots.put(0, held(seen));
    const most = tailRows ? 2 + Math.min(6, tailRows) : 8; // the sinks never are
    assertEquals(slots.rewindable(POLICY, seen), seen <= most);
    const backwards = Number.isInteger(count) && count >= 0 && count <= seen;
    if (backwards && (seen <= most || count === seen)) {
      slots.rewind(0, count);
      assertEquals(slots.at(0), held(count));
    } else {
      const message =
        `Cannot rewind slot 0 to ${count} tokens: it has seen ${seen} and keeps all of them only up to ${most}`;
      assertThrows(() => slots.rewind(0, count), RangeError, message);
      assertEquals(slots.at(0), held(seen));
    }
  }));
});

Deno.test("slots: a chunk has as many tokens as its slot's conversation allows", () => {
  const slots = book();
  slots.put(0, held(0));
  slots.put(1, held(7));
  assertEquals([slots.limit(0), slots.limit(1)], [10, 3]);
  slots.check([]);
  slots.check([chunk(1, 3), chunk(0, 10, 10)]);
  slots.check([chunk(0, 1, 1)]);
  const refused = (message: string, ...chunks: DecodeChunk[]) =>
    assertThrows(() => slots.check(chunks), RangeError, message);
  refused("Cannot append 0 tokens to slot 0: 1 to 10 fit one run", chunk(0, 0));
  refused("Cannot append 11 tokens to slot 0", chunk(0, 11));
  refused("Cannot append 4 tokens to slot 1: 1 to 3", chunk(0, 1), chunk(1, 4));
  refused("Cannot append to slot 0 twice", chunk(0, 1), chunk(0, 2));
  for (const logits of [-1, 3, 0.5, NaN]) {
    refused(
      `Cannot give logits of ${logits} tokens of 2`,
      chunk(0, 2, logits),
    );
  }
  for (const starts of [[2], [-1], [1, 0], [0, 0], [0.5]]) {
    refused("Cannot begin messages at tokens", { ...chunk(0, 2), starts });
  }
  slots.check([{ ...chunk(0, 2), starts: [0, 1] }]);
});

Deno.test("slots: messages are known once the chunk is appended in which they begin, and forgotten when that is taken back", () => {
  const slots = book();
  slots.put(0, held(0));
  const starting = { ...chunk(0, 4), starts: [0, 3] };
  assertEquals(slots.before(starting).boundaries, [0, 3]);
  assertEquals(slots.opened(0).boundaries, []);
  slots.append(starting);
  slots.append({ ...chunk(0, 3), starts: [2] });
  assertEquals(slots.opened(0), { ...held(7), boundaries: [3, 6] });
  slots.rewind(0, 6);
  assertEquals(slots.opened(0), { ...held(6), boundaries: [3] });
});
