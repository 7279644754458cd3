import { assertEquals, assertRejects } from "@std/assert";
import { ComputeTurns } from "../../lib/scheduler/compute_turns.ts";

/** Work that says when it begins and ends when it is told to. */
function gated(told: string[], name: string) {
  const { promise, resolve } = Promise.withResolvers<string>();
  const work = () => {
    told.push(name);
    return promise;
  };
  return { work, end: () => resolve(name) };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("whoever comes again stands behind those who wait", async () => {
  const turns = new ComputeTurns();
  const told: string[] = [];
  const works = ["a", "b", "a again"].map((name) => gated(told, name));
  const taken = works.map(({ work }) => turns.take(work));
  for (const [i, { end }] of works.entries()) {
    await settled();
    assertEquals(told, ["a", "b", "a again"].slice(0, i + 1));
    end();
  }
  assertEquals(await Promise.all(taken), ["a", "b", "a again"]);
});

Deno.test("work that fails is its own concern, whether it throws at once or later", async () => {
  const turns = new ComputeTurns();
  const failures = [
    () => Promise.reject(new Error("later")),
    () => {
      throw new Error("at once");
    },
  ].map((work) => turns.take(work));
  const next = turns.take(() => Promise.resolve(7));
  await assertRejects(() => failures[0]!, Error, "later");
  await assertRejects(() => failures[1]!, Error, "at once");
  assertEquals(await next, 7);
});
