import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { measureAll } from "../../bench/measure_all.ts";
import { parseBenchOptions } from "../../bench/options.ts";
import { readConfig } from "../../lib/config.ts";
import { writeSmallBenchModel } from "./small_bench_model.ts";

Deno.test("the benchmarks run on a small model and give figures", async () => {
  const directory = await Deno.makeTempDir({ prefix: "everstream-bench-" });
  try {
    const model = await writeSmallBenchModel(directory);
    const book = join(directory, "book.txt");
    await Deno.writeTextFile(book, "hello the user ".repeat(1000));
    const config = readConfig(
      new Map([
        ["EVERSTREAM_MODEL", model],
        ["EVERSTREAM_MODELS", directory],
        ["EVERSTREAM_ENGINE", "native"],
        ["EVERSTREAM_THREADS", "1"],
      ]),
    );
    const options = parseBenchOptions(
      ["--quick", "--tokens", "1300", "--text", book],
    );
    const printed: string[] = [];
    const report = await measureAll(
      config,
      options,
      (text) => printed.push(text),
    );
    assertEquals(report.notes, []);
    assertEquals(report.machine.engine, "native");
    const { prefill, decode, cached, recompute, stream, streams, mixed } =
      report.results;
    for (const { tokensPerSecond } of [...prefill!, ...decode!]) {
      assert(tokensPerSecond > 0 && Number.isFinite(tokensPerSecond));
    }
    assert(cached!.ratio > 0);
    assert(cached!.agreement > 0.9);
    assert(recompute![0]!.ratio > 0);
    assertEquals(stream!.samples.length, 13);
    assert(stream!.verdict!.cacheConstant);
    assertEquals(streams!.map(({ streams }) => streams), [1, 2]);
    for (const { tokensPerSecond, firstToken, between } of streams!) {
      assert(tokensPerSecond > 0 && Number.isFinite(tokensPerSecond));
      assert(firstToken.p50 > 0 && between.p50 > 0);
    }
    assertEquals(streams![0]!.ratio, 1);
    assert(mixed!.ratio.max > 0 && mixed!.prefillTokensPerSecond > 0);
    const text = printed.join("\n");
    for (
      const part of [
        "Prefill",
        "Decode",
        "uncached",
        "recompute",
        "Verdict:",
        "side by side",
        "while ÷ before",
      ]
    ) {
      assert(text.includes(part), part);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a measurement that fails is a note, and the others go on", async () => {
  const directory = await Deno.makeTempDir({ prefix: "everstream-bench-" });
  try {
    const model = await writeSmallBenchModel(directory);
    const config = readConfig(
      new Map([["EVERSTREAM_MODEL", model], ["EVERSTREAM_MODELS", directory]]),
    );
    const absent = join(directory, "absent.txt");
    const options = parseBenchOptions(
      ["--quick", "--only", "prefill,stream", "--text", absent],
    );
    const report = await measureAll(
      { ...config, engine: "native" },
      options,
      () => {},
    );
    assertEquals(report.results.prefill?.length, 1);
    assertEquals(report.results.stream, undefined);
    assert(report.notes[0]?.startsWith("stream: "));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
