import { assert, assertEquals } from "@std/assert";
import { WaitEstimate } from "../../lib/scheduler/wait_estimate.ts";

Deno.test("the estimate is the mean lease times the place in line over the slots", () => {
  const estimate = new WaitEstimate(4);
  estimate.add(8000);
  assertEquals([1, 2, 3, 10].map((place) => estimate.seconds(place)), [
    2,
    4,
    6,
    20,
  ]);
});

Deno.test("the estimate is a whole number of seconds from 1 to 60", () => {
  const estimate = new WaitEstimate(2);
  assertEquals(estimate.seconds(1000), 1); // nothing seen yet
  estimate.add(3);
  assertEquals(estimate.seconds(1), 1);
  estimate.add(50_000);
  assertEquals(estimate.seconds(1000), 60);
  assert(Number.isInteger(estimate.seconds(3)));
});

Deno.test("the estimate follows how long slots are held lately", () => {
  const estimate = new WaitEstimate(1);
  for (let i = 0; i < 100; i++) estimate.add(1000);
  estimate.add(9000);
  assertEquals(estimate.seconds(1), 2);
  for (let i = 0; i < 100; i++) estimate.add(30_000);
  assertEquals(estimate.seconds(1), 30);
});
