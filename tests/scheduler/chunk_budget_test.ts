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
        let most = 0;
        for (let turn = 0; turn < 100; turn++) {
          budget.stepTook(step);
          const tokens = budget.tokens(64);
          assert(Number.isInteger(tokens) && tokens >= 1 && tokens <= 64);
          budget.chunkTook(tokens, time(tokens));
          if (turn < 10) continue;
          const steps = (step + time(tokens)) / step;
          assert(
            tokens === 1 || steps < 2.9,
            `${tokens} tokens: a turn of ${steps} steps`,
          );
          most = Math.max(most, tokens);
        }
        // And it makes use of what is allowed.
        if (most < 64) assert(step + time(most + 1) > 1.8 * step);
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
  // step − 8, and back from one more or an eighth more than that.
  const [few, many, again] = sizes as [number, number, number];
  assert(few === 2 || few === 3, `${few}`);
  assert(many >= 28 && many <= 37, `${many}`);
  assert(again === 2 || again === 3, `${again}`);
});

Deno.test("a time out of the way shortens the next chunk, and no other for long", () => {
  const budget = new ChunkBudget();
  const turns = (count: number) => {
    for (let turn = 0; turn < count; turn++) {
      budget.stepTook(20);
      const tokens = budget.tokens(64);
      budget.chunkTook(tokens, 10 + tokens);
    }
    return budget.tokens(64);
  };
  const usual = turns(50);
  budget.chunkTook(budget.tokens(64), 200);
  assert(budget.tokens(64) < usual / 4);
  assert(Math.abs(turns(20) - usual) <= 2);
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
