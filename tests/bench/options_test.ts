import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseBenchOptions, USAGE } from "../../bench/options.ts";

Deno.test("without arguments all is measured that needs no text and no peer", () => {
  const options = parseBenchOptions([]);
  assertEquals([...options.only], [
    "prefill",
    "decode",
    "cached",
    "recompute",
    "stream",
    "streams",
    "bits",
    "mixed",
  ]);
  assertEquals(options.streams, undefined);
  assertEquals([options.tokens, options.skip], [20_000, 0]);
  assert(!options.peers && !options.quick && !options.help);
});

Deno.test("logits are compared too where there are a text and peers", () => {
  const { only } = parseBenchOptions(["--text", "book.txt", "--peers"]);
  assert(only.has("kl"));
  assert(!parseBenchOptions(["--text", "book.txt"]).only.has("kl"));
});

Deno.test("options are read", () => {
  const { only, ...rest } = parseBenchOptions(
    "--engine wasm --only kl,stream --tokens 1500 --text a --skip 8 --json b --quick"
      .split(" "),
  );
  assertEquals([...only], ["kl", "stream"]);
  assertEquals(rest, {
    help: false,
    engine: "wasm",
    peers: false,
    tokens: 1500,
    text: "a",
    skip: 8,
    json: "b",
    quick: true,
  });
});

Deno.test("numbers of streams ask for that measurement, unless others are named", () => {
  const { only, streams } = parseBenchOptions(["--streams", "1,16,2,2"]);
  assertEquals([...only], ["streams"]);
  assertEquals(streams, [1, 2, 16]);
  const line = "--only mixed,streams --streams 3";
  const named = parseBenchOptions(line.split(" "));
  assertEquals([...named.only], ["mixed", "streams"]);
  assertEquals(named.streams, [3]);
});

Deno.test("a wrong option is an error that names what it may be", () => {
  const cases: [string, string][] = [
    ["--engine cuda", "known are auto, webgpu, native, wasm"],
    ["--only decode,speed", '"speed": known are prefill'],
    ["--tokens 1e4", "--tokens"],
    ["--tokens 0", "from 1"],
    ["--skip -1", "--skip"],
    ["--only kl", "give --text"],
    ["--streams 1,0", '--streams "0": give a whole number from 1'],
    ["--streams 1,,2", '--streams ""'],
  ];
  for (const [line, message] of cases) {
    const parse = () => parseBenchOptions(line.split(" "));
    assertThrows(parse, Error, message);
  }
  assertThrows(() => parseBenchOptions(["--fast"]), TypeError, "--fast");
  assertThrows(() => parseBenchOptions(["file"]), TypeError, "file");
  assertThrows(() => parseBenchOptions(["--json"]), TypeError, "--json");
});

Deno.test("the usage names every option", () => {
  for (
    const name of "only engine peers tokens streams text skip json quick help"
      .split(
        " ",
      )
  ) {
    assert(USAGE.includes(`--${name}`), name);
  }
});
