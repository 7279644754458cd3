import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { fittingSlots } from "../../lib/decoder/fitting_slots.ts";

const ROOM = { sinks: 4, window: 1020 };

Deno.test("a memory holds as many slots as fit whole, and not one more", () => {
  const bytes = fc.integer({ min: 1, max: 2 ** 40 });
  fc.assert(fc.property(bytes, bytes, (memory, each) => {
    fc.pre(each <= memory);
    const slots = fittingSlots(memory, each, ROOM);
    assertEquals(
      [slots * each <= memory, (slots + 1) * each > memory],
      [true, true],
    );
  }));
  assertEquals(fittingSlots(1000, 1000, ROOM), 1);
  assertEquals(fittingSlots(1999, 1000, ROOM), 1);
});

Deno.test("a memory that holds not even one slot is refused, and the message says what is needed", () => {
  const message =
    "Cannot keep a conversation in 999 bytes (EVERSTREAM_MEMORY): " +
    "4 sinks and a window of 1020 tokens take 1000. Give at least that, or make EVERSTREAM_WINDOW smaller";
  assertThrows(() => fittingSlots(999, 1000, ROOM), RangeError, message);
  assertThrows(() => fittingSlots(0, 1000, ROOM), RangeError, "0 bytes");
});
