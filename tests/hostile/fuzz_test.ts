/** A little of what `deno task fuzz` does for minutes, always the same. */
import { assert } from "@std/assert";
import { fuzz } from "./fuzzing.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("whatever is sent, each answer is one of ours, and nothing is left behind", async () => {
  const { requests } = await fuzz({ seed: 1, until: 0, batches: 600 });
  assert(requests >= 1_000, `${requests} requests`);
});
