import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  appended,
  type Held,
  nothingHeld,
  rewound,
  withStarts,
} from "../../lib/cache/held.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";

const actions = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        count: fc.integer({ min: 1, max: 9 }),
        starts: fc.uniqueArray(fc.nat(8)),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
  ),
  { maxLength: 60, size: "max" },
);

Deno.test("a conversation knows of its messages all that any query can ask for, and little more", () => {
  const policies = fc.record({
    sinks: fc.nat(4),
    window: fc.integer({ min: 1, max: 20 }),
  });
  let most = 0;
  fc.assert(
    fc.property(policies, actions, ({ sinks, window }, actions) => {
      const policy = new SinkWindow(sinks, window);
      let held: Held = nothingHeld(policy);
      let all: number[] = [];
      for (const action of actions) {
        const { seen } = held;
        if ("share" in action) {
          if (seen > policy.capacity) continue;
          const count = Math.floor(action.share * seen);
          held = rewound(held, count);
          all = all.filter((start) => start < count);
        } else {
          const { count } = action;
          const starts = action.starts.filter((start) => start < count)
            .sort((a, b) => a - b);
          held = appended(withStarts(held, starts), count);
          all.push(...starts.map((start) => seen + start));
        }
        assert(held.boundaries.length <= window, "it grows");
        // A smaller window of the same conversation asks for no more than the largest.
        for (const rows of [policy, new SinkWindow(sinks, 1)]) {
          for (let p = Math.max(0, held.seen - 1); p < held.seen + 30; p++) {
            assertEquals(rows.oldest(p, held.boundaries), rows.oldest(p, all));
          }
        }
        most = Math.max(most, held.seen - policy.capacity);
      }
    }),
  );
  assert(most > 100, `${most} tokens past capacity at most`);
});
