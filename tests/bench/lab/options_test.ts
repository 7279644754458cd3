import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseLabOptions, PARTS, USAGE } from "../../../bench/lab/options.ts";
import { labPolicies } from "../../../bench/lab/policies.ts";

function parse(line: string) {
  return parseLabOptions(line.split(" "));
}

Deno.test("without options all policies are compared on a text", () => {
  const options = parse("policies --text book.txt");
  assertEquals([...options.only], [...PARTS]);
  assertEquals(options.sinks, [1, 2, 4, 8]);
  assertEquals(options.windows, [256, 512, 1020]);
  assertEquals([options.tokens, options.skip, options.every], [8192, 0, 64]);
});

Deno.test("a wrong command line of the lab is an error that names what it may be", () => {
  const cases: [string, string][] = [
    ["policies", "give --text"],
    ["", "known are policies, render"],
    ["policies again --text a", "again"],
    ["policies --text a --only full,lazy", '"lazy": known are full'],
    ["policies --text a --sinks 0", "--sinks"],
    ["policies --text a --windows 1", "from 16"],
    ["policies --text a --every 0", "--every"],
  ];
  for (const [line, message] of cases) {
    assertThrows(() => parse(line), Error, message);
  }
  assertEquals(parse("render --out there").command, "render");
  assert(parse("--help").help);
});

Deno.test("the lab's usage names every option", () => {
  const names =
    "text skip tokens only sinks windows full every facts recall-window engine out svg help";
  for (const name of names.split(" ")) {
    assert(USAGE.includes(`--${name}`), name);
  }
});

Deno.test("each pair of sizes is a policy, and full holds what it may", () => {
  const sizes = { sinks: [1, 4], windows: [32, 64], full: 500 };
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
