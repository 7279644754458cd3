import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ChunkBudget } from "../../lib/scheduler/chunk_budget.ts";

const milliseconds = fc.double({ min: 0.5, max: 500, noNaN: true });

Deno.test("a chunk beside a step takes no more than the turn allows, as soon as its cost is known", () => {
  fc.assert(
    fc.property(
      milliseconds,
      fc.double({ min: 0, max: 50, noNaN: true }),
      fc.double({ min: 0.1, max: 10, noNaN: true }),
      (step, fixed, each) => {
        const budget = new ChunkBudget();
        const time = (tokens: number) => fixed + each * tokens;
        let tokens = 0;
        for (let turn = 0; turn < 60; turn++) {
          budget.stepTook(step);
          tokens = budget.tokens(64);
          assert(Number.isInteger(tokens) && tokens >= 1 && tokens <= 64);
          budget.chunkTook(tokens, time(tokens));
        }
        const turn = (step + time(tokens)) / step;
        assert(
          tokens === 1 || turn < 3,
          `${tokens} tokens: a turn of ${turn} steps`,
        );
        // And it makes use of what is allowed, unless the first chunks told fixed cost and cost of
        // each token apart badly.
        if (tokens < 64) assert(step + time(tokens + 1) > 1.5 * step);
      },
    ),
  );
});

Deno.test("a chunk follows the step's time as more or fewer stream", () => {
  const budget = new ChunkBudget();
  const sizes: number[] = [];
  for (const step of [10.1, 40, 10.1]) {
    for (let turn = 0; turn < 80; turn++) {
      budget.stepTook(step);
      const tokens = budget.tokens(64);
      budget.chunkTook(tokens, 8 + tokens);
    }
    sizes.push(budget.tokens(64));
  }
  assertEquals(sizes, [4, 39, 4]); // (2.2 − 1) · step − 8, as the average of steps comes near
});

Deno.test("nothing measured: a small chunk, and never more than fits", () => {
  const budget = new ChunkBudget();
  assertEquals([budget.tokens(64), budget.tokens(3)], [8, 3]);
  budget.stepTook(10);
  assertEquals([budget.tokens(64), budget.tokens(3)], [8, 3]);
});

Deno.test("times that make no sense still give a chunk", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          tokens: fc.integer({ min: 1, max: 64 }),
          time: milliseconds,
        }),
        { minLength: 1, maxLength: 50 },
      ),
      milliseconds,
      (chunks, step) => {
        const budget = new ChunkBudget();
        budget.stepTook(step);
        for (const { tokens, time } of chunks) budget.chunkTook(tokens, time);
        const tokens = budget.tokens(64);
        assert(Number.isInteger(tokens) && tokens >= 1 && tokens <= 64);
      },
    ),
  );
});
