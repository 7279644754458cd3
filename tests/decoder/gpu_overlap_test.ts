import { assert, assertEquals, assertRejects } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { Snapshot } from "../../lib/decoder/decoder.ts";
import type { GpuDecoder } from "../../lib/decoder/gpu_decoder.ts";
import type { GpuSnapshot } from "../../lib/decoder/gpu/history.ts";
import { DecoderReference } from "../reference/decoder_reference.ts";
import { randomTokens, writeSmallModel } from "../reference/small_model.ts";
import { absentReason } from "../gpu.ts";
import { openGpuFixture } from "./gpu_fixture.ts";
import { appendAll, assertLogits } from "./open.ts";

const ignore = absentReason !== null;
const POLICY = new SinkWindow(4, 13);
const TOLERANCE = 1e-4;
const [BEFORE, AFTER] = [randomTokens(40), randomTokens(6, undefined, 8)];

/** What the small model gives of {@linkcode AFTER}, behind the others. */
async function expectedAfter(
  model: { path: string },
  before: readonly number[],
): Promise<Float64Array[]> {
  const reference = (await DecoderReference.read(model.path)).start(POLICY);
  reference.appendAll(before);
  return reference.appendAll(AFTER);
}

function appendAfter(
  decoder: GpuDecoder,
  slot: number,
): Promise<Float32Array[]> {
  return appendAll(decoder, AFTER, { size: 2, slot });
}

for (
  const [what, tokens] of [["step", [9]], ["chunk", [9, 8, 7]]] as const
) {
  Deno.test({
    name: `a conversation saved while its ${what} runs is saved as it was`,
    ignore,
    async fn() {
      await using model = await writeSmallModel();
      await using fixture = await openGpuFixture(model, { slots: 2 });
      const { decoder, hooks } = fixture;
      const expected = await expectedAfter(model, BEFORE);
      const later = await expectedAfter(model, [...BEFORE, ...tokens]);
      // The conversation is in its slot, or on the stage.
      for (const size of [1, 5]) {
        decoder.open(0, POLICY);
        await appendAll(decoder, BEFORE, { size, slot: 0 });
        const saved: GpuSnapshot[] = [];
        hooks.run = async ({ go }) => {
          saved.push(decoder.save(0));
          const running = go();
          saved.push(decoder.save(0));
          await running;
          saved.push(decoder.save(0));
        };
        await decoder.run([{ slot: 0, tokens, logits: 0 }]);
        hooks.run = ({ go }) => go();
        const rest = appendAfter(decoder, 0);
        for (const copy of saved) {
          assertEquals(copy.seen, BEFORE.length);
          await decoder.restore(1, copy);
          const actual = await appendAfter(decoder, 1);
          assertLogits(actual, expected, TOLERANCE, `by ${size}`);
        }
        assertLogits(await rest, later, TOLERANCE, `by ${size}, going on`);
      }
    },
  });
}

Deno.test({
  name:
    "copies whose bytes are still on their way can be restored, several at once",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openGpuFixture(model, { slots: 4 });
    const { decoder } = fixture;
    decoder.open(0, POLICY);
    await appendAll(decoder, BEFORE, { size: 5 });
    decoder.open(1, POLICY);
    await appendAll(decoder, BEFORE.slice(0, 9), { size: 5, slot: 1 });
    const copies = [decoder.save(0), decoder.save(1)] as const;
    await Promise.all([
      decoder.restore(2, copies[0]),
      decoder.restore(3, copies[1]),
      decoder.run([{ slot: 0, tokens: [1, 2], logits: 0 }]),
      decoder.restore(1, decoder.save(0)),
    ]);
    const whole = await expectedAfter(model, BEFORE);
    assertLogits(await appendAfter(decoder, 2), whole, TOLERANCE);
    assertLogits(await appendAfter(decoder, 1), whole, TOLERANCE);
    const short = await expectedAfter(model, BEFORE.slice(0, 9));
    assertLogits(await appendAfter(decoder, 3), short, TOLERANCE);
    const further = await expectedAfter(model, [...BEFORE, 1, 2]);
    assertLogits(await appendAfter(decoder, 0), further, TOLERANCE);
  },
});

Deno.test({
  name:
    "a copy that never arrives is computed again, whoever is on the stage meanwhile",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openGpuFixture(model, { slots: 3 });
    const { decoder } = fixture;
    decoder.open(0, POLICY);
    await appendAll(decoder, BEFORE, { size: 5 });
    const map = GPUBuffer.prototype.mapAsync;
    let copy: GpuSnapshot;
    try {
      GPUBuffer.prototype.mapAsync = () =>
        Promise.reject(new Error("out of memory on purpose"));
      copy = decoder.save(0);
      await assertRejects(() => copy.data, Error, "on purpose");
    } finally {
      GPUBuffer.prototype.mapAsync = map;
    }
    const other = randomTokens(30, undefined, 3);
    decoder.open(1, POLICY);
    await appendAll(decoder, other, { size: 5, slot: 1 }); // on the stage now
    await decoder.restore(2, copy);
    const expected = await expectedAfter(model, BEFORE);
    assertLogits(await appendAfter(decoder, 2), expected, TOLERANCE);
    const others = await expectedAfter(model, other);
    assertLogits(await appendAfter(decoder, 1), others, TOLERANCE);
  },
});

Deno.test({
  name: "releasing waits for what runs, and nothing runs any more after it",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    const fixture = await openGpuFixture(model, { slots: 2 });
    const { decoder } = fixture;
    decoder.open(0, POLICY);
    const run = () => decoder.run([{ slot: 0, tokens: [1, 2], logits: 1 }]);
    const [logits, , late, saved] = await Promise.allSettled([
      run(),
      decoder.release(),
      run(),
      decoder.restore(1, decoder.save(0) as Snapshot & GpuSnapshot),
    ]);
    assert(logits.status === "fulfilled");
    assertEquals(logits.value[0]!.length, decoder.vocabulary);
    for (const refused of [late, saved]) {
      assert(refused.status === "rejected");
      assertEquals(
        refused.reason.message,
        "Cannot run the model on the GPU: it was released",
      );
    }
    await decoder.release();
    await assertRejects(run, Error, "released");
    assertEquals(fixture.gpus.length, 1);
    assertEquals(decoder.gpuBytes, { weights: 0, caches: 0, scratch: 0 });
  },
});
