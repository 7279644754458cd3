import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseLabOptions, PARTS, USAGE } from "../../../bench/lab/options.ts";
import { lazyCounts } from "../../../bench/lab/lazy_counts.ts";
import { labPolicies } from "../../../bench/lab/policies.ts";

function parse(line: string) {
  return parseLabOptions(line.split(" "));
}

Deno.test("without options all policies are compared on a text", () => {
  const options = parse("policies --text book.txt");
  assertEquals([...options.only], [...PARTS]);
  assertEquals(options.sinks, [1, 2, 4, 8]);
  assertEquals(options.windows, [256, 512, 1020]);
  assertEquals([options.bits, options.lazy], [[32], undefined]);
  assertEquals([options.tokens, options.skip, options.every], [8192, 0, 64]);
});

Deno.test("a wrong command line of the lab is an error that names what it may be", () => {
  const cases: [string, string][] = [
    ["policies", "give --text"],
    ["", "known are policies, render"],
    ["policies again --text a", "again"],
    ["policies --text a --only full,laziest", '"laziest": known are full'],
    ["policies --text a --sinks 0", "--sinks"],
    ["policies --text a --windows 1", "from 16"],
    ["policies --text a --every 0", "--every"],
    ["policies --text a --bits 4,5", "known are 32, 16, 8, 4"],
    ["policies --text a --lazy 0", "--lazy"],
  ];
  for (const [line, message] of cases) {
    assertThrows(() => parse(line), Error, message);
  }
  assertEquals(parse("render --out there").command, "render");
  assert(parse("--help").help);
});

Deno.test("the lab's usage names every option", () => {
  const names =
    "text skip tokens only sinks windows bits lazy full every facts recall-window engine out svg help";
  for (const name of names.split(" ")) {
    assert(USAGE.includes(`--${name}`), name);
  }
});

Deno.test("each pair of sizes is a policy, and full holds what it may", () => {
  const sizes = {
    sinks: [1, 4],
    windows: [32, 64],
    full: 500,
    bits: [32],
    lazy: [2],
  } as const;
  const policies = labPolicies(
    new Set(["full", "window", "sink-window"]),
    sizes,
  );
  assertEquals(
    policies.map(({ label, policy: { sinks, window } }) => [
      label,
      sinks,
      window,
    ]),
    [
      ["full", 0, 500],
      ["window 32", 0, 32],
      ["sink-window 1+32", 1, 32],
      ["sink-window 4+32", 4, 32],
      ["window 64", 0, 64],
      ["sink-window 1+64", 1, 64],
      ["sink-window 4+64", 4, 64],
    ],
  );
  assertEquals(labPolicies(new Set(["recall"]), sizes), []);
});

Deno.test("bits multiply sink-windows and lazy layers alike, the most bits first", () => {
  const { bits, lazy } = parse("policies --text a --bits 4,32 --lazy 3,1");
  assertEquals([bits, lazy], [[32, 4], [1, 3]]);
  const policies = labPolicies(
    new Set(["full", "window", "sink-window", "simplayer"]),
    { sinks: [1], windows: [32], full: 500, bits, lazy: lazy! },
  );
  assertEquals(
    policies.map(({ label, kind, policy, format, lazyLayers }) => [
      label.slice(kind.length),
      policy.sinks,
      format.kvBits,
      format.layered,
      lazyLayers,
    ]),
    [
      ["", 0, 32, false, 0],
      [" 32", 0, 32, false, 0],
      [" 1+32", 1, 32, false, 0],
      [" 1+32, 4 bits", 1, 4, false, 0],
      [" 4+32, 1 lazy", 4, 32, true, 1],
      [" 4+32, 1 lazy, 4 bits", 4, 4, true, 1],
      [" 4+32, 3 lazy", 4, 32, true, 3],
      [" 4+32, 3 lazy, 4 bits", 4, 4, true, 3],
    ],
  );
});

Deno.test("no more layers are lazy than the model has", () => {
  assertEquals(lazyCounts([1, 4], 4, [1 / 2]), [1, 4]);
  assertEquals(lazyCounts(undefined, 31, [1 / 3, 2 / 3]), [10, 20]);
  assertThrows(() => lazyCounts([5], 4, []), RangeError, "the model has 4");
});
