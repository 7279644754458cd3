import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
} from "@std/assert";
import { join } from "node:path";
import { BenchStream, openBenchModel } from "../../../bench/bench_model.ts";
import { measureLab } from "../../../bench/lab/measure.ts";
import { parseLabOptions } from "../../../bench/lab/options.ts";
import type { LabRecord } from "../../../bench/lab/record.ts";
import { renderHtml } from "../../../bench/lab/report_html.ts";
import { summarizeLab } from "../../../bench/lab/summary.ts";
import { logSumExp } from "../../../bench/statistics.ts";
import { readTextTokens } from "../../../bench/text.ts";
import { lazyWindow } from "../../../lib/cache/lazy_layers.ts";
import { SinkWindow } from "../../../lib/cache/sink_window.ts";
import { readConfig } from "../../../lib/config.ts";
import { writeSmallBenchModel } from "../small_bench_model.ts";

const LINE =
  "--tokens 320 --full 200 --windows 32,48 --sinks 1,4 --bits 32,8 --lazy 1 " +
  "--every 40 --facts 2 --recall-window 128";

Deno.test("the lab measures a small model as its definitions say", async () => {
  const directory = await Deno.makeTempDir({ prefix: "everstream-lab-" });
  try {
    const book = join(directory, "book.txt");
    const words = Array.from({ length: 900 }, (_, i) => `hello ${i * i} user `);
    await Deno.writeTextFile(book, words.join(""));
    const config = readConfig(
      new Map([
        ["EVERSTREAM_MODEL", await writeSmallBenchModel(directory)],
        ["EVERSTREAM_MODELS", directory],
        ["EVERSTREAM_ENGINE", "native"],
        ["EVERSTREAM_THREADS", "1"],
      ]),
    );
    const options = parseLabOptions(
      `policies --text ${book} ${LINE}`.split(" "),
    );
    const kept: LabRecord[] = [];
    const lines: string[] = [];
    const sink = {
      onRecord: (record: LabRecord) => Promise.resolve(void kept.push(record)),
      onProgress: (line: string) => void lines.push(line),
    };
    const record = await measureLab(config, options, sink);
    assertEquals(kept.map(({ recall }) => recall.length), [0, 0, 0, 1, 2]);
    assertEquals(kept.at(-1), record);
    assert(lines.includes("recall of full: 2 of 2 facts"));

    const [full, ...others] = record.streams;
    assertEquals(full!.losses.length, 200);
    assertEquals(
      others.map(({ losses }) => losses.length),
      Array(14).fill(320),
    );
    const model = await openBenchModel(config);
    const text = await readTextTokens(model.tokenizer, book, {
      skip: 0,
      count: 321,
    });
    try {
      const whole = await BenchStream.open(model, new SinkWindow(0, 400));
      for (const [q, loss] of full!.losses.entries()) {
        const logits = await whole.append([text[q]!]);
        const expected = logSumExp(logits) - logits[text[q + 1]!]!;
        assertAlmostEquals(loss, expected, 0.02);
      }
    } finally {
      await model.release();
    }
    for (const { sinks, window, losses, divergences, ...of } of others) {
      const held = sinks + (of.lazyLayers > 0 ? lazyWindow(window) : window);
      for (let q = 0; q < held; q++) {
        assertAlmostEquals(losses[q]!, full!.losses[q]!, 0.02);
        assertAlmostEquals(divergences[q]!, 0, 0.01);
      }
      assert(divergences.slice(held).some((value) => value > 0.001));
    }
    const bytes = new Map(others.map((of) => [of.label, of.cacheBytes]));
    for (const window of [32, 48]) {
      const plain = bytes.get(`sink-window 4+${window}`)!;
      assert(bytes.get(`sink-window 4+${window}, 8 bits`)! !== plain);
      assert(bytes.get(`simplayer 4+${window}, 1 lazy`)! < plain);
    }
    for (const { window, positions, losses } of record.recomputed) {
      assertEquals(positions[0], 52); // the widest sink-window
      assertEquals([positions.length, losses.length], [7, 7]);
      assert(window === 32 || window === 48);
    }
    assertEquals(record.recall.map((r) => r.arithmeticEdge), [127, null]);

    const html = renderHtml(summarizeLab(record));
    assert(html.includes("sink-window 4+48"));
    const short = parseLabOptions(
      `policies --text ${book} --tokens 100 --only recall`.split(" "),
    );
    const missing = measureLab(config, short, sink);
    await assertRejects(() => missing, RangeError, "or more");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
