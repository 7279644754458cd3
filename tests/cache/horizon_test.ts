import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { visibleMessages } from "../../lib/cache/horizon.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { attendedPositions } from "../reference/decoder_reference.ts";

/** By definition: each message's tokens, and which of them are attended. */
function tellVisible(
  starts: readonly number[],
  { seen, attended }: { seen: number; attended: readonly number[] },
) {
  const visible = new Set(attended);
  const messages: number[][] = [];
  for (let p = 0; p < seen; p++) {
    // What comes before the first message's beginning belongs to it.
    if (p === 0 || (starts.includes(p) && p > starts[0]!)) messages.push([]);
    messages.at(-1)!.push(p);
  }
  return messages.map((tokens) => {
    const there = tokens.filter((p) => visible.has(p)).length;
    return there === tokens.length ? "whole" : there > 0 ? "partial" : "gone";
  });
}

Deno.test("messages are whole, in part or not there, exactly as their tokens are", () => {
  const cases = fc.record({
    sinks: fc.oneof(fc.nat(4), fc.nat(30)),
    window: fc.integer({ min: 1, max: 30 }),
    before: fc.nat(3),
    lengths: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 12 }),
    more: fc.nat(40),
    turns: fc.boolean(),
  });
  const found = { whole: 0, partial: 0, gone: 0, two: 0 };
  fc.assert(
    fc.property(cases, ({ sinks, window, before, lengths, more, turns }) => {
      let seen = before;
      const starts = lengths.map((length) => (seen += length) - length);
      seen = Math.max(0, seen - 20) + more; // some have not begun, or the last is long
      const boundaries = turns ? starts : [];
      const policy = new SinkWindow(sinks, window);
      const position = policy.horizon(seen, boundaries);
      const messages = visibleMessages(starts, { seen, sinks, position });
      const attended = seen === 0
        ? []
        : attendedPositions(seen - 1, { sinks, window, boundaries });
      const expected = tellVisible(starts, { seen, attended });
      const { whole, partial, gone } = messages;
      const numbersOf = (kind: string) =>
        expected.flatMap((other, i) => other === kind ? [i] : []);
      assertEquals(whole, numbersOf("whole").length);
      assertEquals(partial, numbersOf("partial"));
      const numbers = Array.from(expected.keys());
      assertEquals(numbers.slice(gone.from, gone.to), numbersOf("gone"));
      assert(gone.from <= gone.to);
      for (const kind of expected) found[kind as keyof typeof found]++;
      if (partial.length === 2) found.two++;
    }),
    { numRuns: 2000 },
  );
  assert(
    Object.values(found).every((count) => count > 50),
    `${Deno.inspect(found)}`,
  );
});

Deno.test("sinks keep the beginning of the first message in sight, or all of it", () => {
  const starts = [0, 10, 20];
  const at = (sinks: number, position: number) =>
    visibleMessages(starts, { seen: 25, sinks, position });
  assertEquals(at(0, 12), { whole: 1, partial: [1], gone: { from: 0, to: 1 } });
  assertEquals(at(4, 12), {
    whole: 1,
    partial: [0, 1],
    gone: { from: 1, to: 1 },
  });
  assertEquals(at(4, 20), { whole: 1, partial: [0], gone: { from: 1, to: 2 } });
  assertEquals(at(10, 20), { whole: 2, partial: [], gone: { from: 1, to: 2 } });
  assertEquals(at(4, 24), {
    whole: 0,
    partial: [0, 2],
    gone: { from: 1, to: 2 },
  });
  assertEquals(at(4, 4), { whole: 3, partial: [], gone: { from: 0, to: 0 } });
});
