import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { EmbeddingTable } from "../../lib/decoder/embedding_table.ts";
import { HostDecoder } from "../../lib/decoder/host_decoder.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import { planDecoder } from "../../lib/graph/convert.ts";
import { ropeFrequencies } from "../../lib/graph/decoder_shape.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import {
  randomTokens,
  SMALL,
  writeSmallModel,
} from "../reference/small_model.ts";
import { EmptySession, type RecordedTensor } from "./recording_session.ts";

const POLICY = new SinkWindow(2, 6);

/** A decoder of the small model over a session that computes nothing. */
async function openEmpty(
  options: { slots?: number; value?: () => number } = {},
): Promise<{ decoder: HostDecoder; session: EmptySession }> {
  await using model = await writeSmallModel({ ropeScale: 2 });
  using file = await openGguf(model.path);
  const plan = await planDecoder(
    file,
    (shape) => new GroupedQueryAttention(shape, { blocks: 2 }),
  );
  const { layers, kvHeads, headDim, vocabulary } = SMALL;
  const session = new EmptySession({
    rowWidth: layers * kvHeads * headDim,
    vocabulary,
    ...(options.value ? { value: options.value } : {}),
  });
  const embeddings = await EmbeddingTable.read(file, plan.family.embedding);
  const layout = { sinkRows: 2, tailRows: 0, blocks: [2, 4] };
  const slots = options.slots ?? 1;
  const decoder = new HostDecoder({ plan, session, embeddings }, {
    layout,
    slots,
    chunk: 512,
  });
  return { decoder, session };
}

/** A row of cosines or sines, by the index tensor that says which. */
function angleRow(
  table: RecordedTensor,
  index: RecordedTensor,
  token: number,
): Float32Array {
  const half = table.dims[1]!;
  const row = Number(index.data[token]);
  return table.data.subarray(row * half, (row + 1) * half) as Float32Array;
}

Deno.test("the decoder's angles are exact to the last bit of f32 after a million tokens", async () => {
  const { decoder, session } = await openEmpty();
  decoder.open(0, POLICY);
  const tokens = randomTokens(512);
  await decoder.run([{ slot: 0, tokens: tokens.slice(0, 8), logits: 0 }]);
  while (decoder.seen(0) < 1_000_000) {
    await decoder.run([{ slot: 0, tokens, logits: 0 }]);
  }
  const p = decoder.seen(0);
  await decoder.run([{ slot: 0, tokens: [1, 2, 3], logits: 1 }]);
  const { cos, sin, position, sink_position } = session.inputs;
  for (let t = 0; t < 3; t++) {
    for (let i = 0; i < SMALL.headDim / 2; i++) {
      const frequency = 10_000 ** (-2 * i / SMALL.headDim) / 2;
      const at = [(p + t) * frequency, 7 * frequency] as const; // the sinks are asked from C − 1
      const rows = [position!, sink_position!] as const;
      for (const which of [0, 1] as const) {
        assertEquals(
          angleRow(cos!, rows[which], t)[i],
          Math.fround(Math.cos(at[which])),
        );
        assertEquals(
          angleRow(sin!, rows[which], t)[i],
          Math.fround(Math.sin(at[which])),
        );
      }
    }
  }
});

Deno.test("frequencies keep angles precise at positions of 10^9", () => {
  // With base 10^4 and 16 dimensions they are the powers of 10^(−1/2).
  const root = 0.31622776601683793320;
  const expected = [
    1,
    root,
    0.1,
    root / 10,
    0.01,
    root / 100,
    0.001,
    root / 1000,
  ];
  const frequencies = ropeFrequencies({
    headDim: 16,
    rope: { dimensions: 16, base: 10_000, scale: 1 },
  });
  for (const [i, frequency] of frequencies.entries()) {
    const error = Math.abs(frequency - expected[i]!) * 1e9;
    assert(error < 5e-7, `pair ${i} is off by ${error} radians`);
    assert(
      Math.abs(Math.cos(1e9 * frequency) - Math.cos(1e9 * expected[i]!)) < 5e-7,
    );
  }
  const factors = Float32Array.of(1, 8);
  const scaled = ropeFrequencies({
    headDim: 6, // its last pair is not rotated
    rope: { dimensions: 4, base: 10_000, scale: 4, factors },
  });
  assertEquals([...scaled], [0.25, 0.01 / 32, 0]);
});

Deno.test("the decoder asks for the logits that are wanted, and for one row if none is", async () => {
  const { decoder, session } = await openEmpty();
  decoder.open(0, POLICY);
  const run = async (logits: number) => {
    const [rows] = await decoder.run([{ slot: 0, tokens: [5, 6, 7], logits }]);
    return [rows!.length, [...session.inputs.logit_tokens!.data]];
  };
  assertEquals(await run(3), [3 * SMALL.vocabulary, [0n, 1n, 2n]]);
  assertEquals(await run(1), [SMALL.vocabulary, [2n]]);
  assertEquals(await run(0), [0, [0n]]);
  for (const logits of [4, -1, 0.5]) {
    await assertRejects(() => run(logits), RangeError, "logits");
    assertEquals(decoder.seen(0), 9);
  }
});

Deno.test("a run of several chunks changes no slot if one of them is refused or fails", async () => {
  const { decoder } = await openEmpty({ slots: 2 });
  decoder.open(0, POLICY);
  decoder.open(1, POLICY);
  const good = { slot: 0, tokens: [1, 2], logits: 0 };
  const bad = [
    { slot: 1, tokens: [], logits: 0 },
    { slot: 1, tokens: [SMALL.vocabulary], logits: 0 },
    { slot: 2, tokens: [1], logits: 0 },
    { slot: 0, tokens: [1], logits: 0 }, // a slot twice
  ];
  for (const chunk of bad) {
    await assertRejects(() => decoder.run([good, chunk]), RangeError);
    assertEquals([decoder.seen(0), decoder.seen(1)], [0, 0]);
  }
  assertEquals((await decoder.run([good, { ...good, slot: 1 }])).length, 2);
});

Deno.test("a slot number that does not exist is refused everywhere", async () => {
  const { decoder } = await openEmpty();
  for (const slot of [-1, 1, 0.5]) {
    assertThrows(() => decoder.open(slot, POLICY), RangeError, `slot ${slot}`);
    assertThrows(() => decoder.seen(slot), RangeError, `slot ${slot}`);
    assertThrows(() => decoder.rewind(slot, 0), RangeError, `slot ${slot}`);
  }
});

Deno.test("rows that are no numbers never enter a cache: the run fails, the slot is as it was", async () => {
  for (const wrong of [NaN, Infinity, -Infinity]) {
    let value = 1;
    const { decoder, session } = await openEmpty({ value: () => value });
    decoder.open(0, POLICY);
    const run = () => decoder.run([{ slot: 0, tokens: [1, 2], logits: 0 }]);
    await run();
    value = wrong;
    await assertRejects(run, Error, "no numbers");
    assertEquals(decoder.seen(0), 2);
    // A hidden row still takes part in the sums, with weight 0, and 0 · NaN is NaN.
    for (const [name, { data }] of Object.entries(session.inputs)) {
      if (/_\d+$/.test(name)) {
        assert((data as Float32Array).every(Number.isFinite), name);
      }
    }
  }
});
