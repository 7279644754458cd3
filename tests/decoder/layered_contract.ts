/**
 * What a decoder with lazy layers must do, against the reference in f64 whose layers keep what the
 * decoder says that they do.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { KvBits } from "../../lib/cache/cache_format.ts";
import {
  laziest,
  lazyWindow,
  nearPositions,
} from "../../lib/cache/lazy_layers.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { LayeredDecoder } from "../../lib/decoder/layered_decoder.ts";
import {
  snapshotFromBytes,
  snapshotToBytes,
} from "../../lib/decoder/snapshot_bytes.ts";
import { openHostModel } from "../../lib/decoder/open_decoder.ts";
import type { Engine } from "../../lib/engine/engine.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import {
  DecoderReference,
  type ReferenceConversation,
} from "../reference/decoder_reference.ts";
import {
  randomTokens,
  type SmallModel,
  writeSmallModel,
} from "../reference/small_model.ts";
import { appendAll, assertLogits } from "./open.ts";

const POLICY = new SinkWindow(4, 40);
const LAZY = new SinkWindow(4, lazyWindow(40));
const LAYERS = 4;

/** Bits of the rows, and how near logits are to the reference; 4-bit rows are only compared with themselves. */
const EXACT = { bits: 32, tolerance: 1e-4 } as const;

interface Options {
  readonly absent?: string | null;
  readonly short: number;
}

/** Adds the tests of one engine. */
export function layeredContractTests(engine: Engine, options: Options): void {
  const test = (name: string, fn: () => Promise<void>) =>
    Deno.test({
      name: `${engine.name} decoder with lazy layers ${name}`,
      ignore: typeof options.absent === "string",
      fn,
    });

  for (const chunk of [1, 5, 16]) {
    test(`cuts at the prompt's end and gives the reference's logits, by ${chunk}`, async () => {
      await using model = await writeSmallModel({ layers: LAYERS });
      await using decoder = await open(engine, model, EXACT.bits);
      const prompt = randomTokens(33);
      const rest = randomTokens(options.short, undefined, 5);
      const reference = (await DecoderReference.read(model.path)).start(POLICY);
      decoder.open(0, POLICY);
      const last = await prefill(decoder, prompt, { chunk });
      const expected = reference.appendAll(prompt);
      assertLogits([last], [expected.at(-1)!], EXACT.tolerance);
      const lazy = decoder.lazyLayers(0);
      assertEquals(lazy.length, 2);
      reference.cut(lazy, LAZY);
      const actual = await appendAll(decoder, rest, { size: chunk });
      assertLogits(actual, reference.appendAll(rest), EXACT.tolerance);
      assertEquals(decoder.lazyLayers(0), lazy);
    });
  }

  test("takes for lazy the layers whose last 32 queries attend most to near tokens", async () => {
    await using model = await writeSmallModel({ layers: LAYERS });
    await using decoder = await open(engine, model, EXACT.bits);
    const reference = await DecoderReference.read(model.path);
    for (const seed of [1, 2, 3, 4]) {
      const prompt = randomTokens(40, undefined, seed);
      decoder.open(0, POLICY);
      await prefill(decoder, prompt, { chunk: 40 });
      const expected = massOf(reference.start(POLICY), prompt);
      assertEquals(decoder.lazyLayers(0), laziest(expected, 2));
    }
  });

  test("cuts at the token that outgrows what lazy layers keep", async () => {
    await using model = await writeSmallModel({ layers: LAYERS });
    await using decoder = await open(engine, model, EXACT.bits);
    const tokens = randomTokens(60);
    const reference = (await DecoderReference.read(model.path)).start(POLICY);
    decoder.open(0, POLICY);
    for (const [i, token] of tokens.entries()) {
      const [logits] = await decoder.run([{
        slot: 0,
        tokens: [token],
        logits: 1,
      }]);
      assertLogits([logits!], [reference.append(token)], EXACT.tolerance);
      if (i < LAZY.capacity) assertEquals(decoder.lazyLayers(0), []);
      else assertEquals(decoder.lazyLayers(0).length, 2);
      if (i === LAZY.capacity) reference.cut(decoder.lazyLayers(0), LAZY);
    }
  });

  test("keeps all that a sink window keeps if no layer is lazy", async () => {
    await using model = await writeSmallModel({ layers: LAYERS });
    await using decoder = await open(engine, model, EXACT.bits, 0);
    const tokens = randomTokens(60);
    const reference = (await DecoderReference.read(model.path)).start(POLICY);
    decoder.open(0, POLICY);
    const actual = await appendAll(decoder, tokens, { size: 7 });
    assertLogits(actual, reference.appendAll(tokens), EXACT.tolerance);
  });

  for (const bits of [32, 8, 4] as const) {
    test(`goes on from a copy as from the slot, with rows of ${bits} bits`, async () => {
      await using model = await writeSmallModel({ layers: LAYERS });
      await using decoder = await open(engine, model, bits);
      const [tokens, rest] = [randomTokens(50), randomTokens(20, undefined, 3)];
      for (const count of [3, 10, 14, 15, 30, 50]) {
        decoder.open(0, POLICY);
        await prefill(decoder, tokens.slice(0, count), { chunk: 9 });
        const bytes = await snapshotToBytes(decoder.save(0));
        await decoder.restore(1, snapshotFromBytes(bytes));
        assertEquals(decoder.lazyLayers(1), decoder.lazyLayers(0));
        const there = await appendAll(decoder, rest, { size: 1, slot: 1 });
        const here = await appendAll(decoder, rest, { size: 1 });
        assertLogits(there, here, 0, `after ${count}`);
      }
    });
  }

  test("holds the bytes that it says", async () => {
    await using model = await writeSmallModel({ layers: LAYERS });
    await using decoder = await open(engine, model, EXACT.bits);
    const row = 2 * 2 * 16 * 4; // keys and values, heads, values of a head, bytes
    const [whole, cut] = [44 * row, 14 * row];
    assertEquals(decoder.slotBytes, 2 * whole + 2 * cut);
    assertEquals(decoder.cacheBytes, 2 * decoder.slotBytes + 4 * whole);
    decoder.open(0, POLICY);
    await prefill(decoder, randomTokens(60), { chunk: 16 });
    assertEquals(decoder.save(0).bytes, decoder.slotBytes);
  });

  test("reads one long prompt at a time, and the next when that is cut or left", async () => {
    await using model = await writeSmallModel({ layers: LAYERS });
    await using decoder = await open(engine, model, EXACT.bits);
    const run = (slot: number, count: number, logits: number) =>
      decoder.run([{ slot, tokens: randomTokens(count), logits }]);
    for (const slot of [0, 1]) decoder.open(slot, POLICY);
    await run(0, 16, 0);
    assertEquals(decoder.limit(1), 14);
    await run(1, 14, 0);
    assertEquals(decoder.limit(1), 0);
    await assertRejects(() => run(1, 1, 0), RangeError, "slot 0 is read first");
    assertEquals([decoder.seen(0), decoder.seen(1)], [16, 14]);
    await run(0, 5, 1);
    assert(decoder.limit(1) > 0);
    await run(1, 16, 0);
    assert(decoder.limit(0) > 0); // it is decided, and needs no more
    decoder.close(1);
    decoder.open(1, POLICY);
    await run(1, 16, 0);
    assertEquals(decoder.seen(1), 16);
  });

  test("cannot be rewound once layers have forgotten", async () => {
    await using model = await writeSmallModel({ layers: LAYERS });
    await using decoder = await open(engine, model, EXACT.bits);
    decoder.open(0, POLICY);
    await prefill(decoder, randomTokens(14), { chunk: 16 });
    assert(decoder.rewindable(POLICY, 14));
    decoder.rewind(0, 9);
    await prefill(decoder, randomTokens(6), { chunk: 16 });
    assertEquals(decoder.lazyLayers(0).length, 2);
    assert(!decoder.rewindable(POLICY, 15));
    assertThrows(() => decoder.rewind(0, 14), RangeError, "lazy layers");
    decoder.rewind(0, 15);
  });
}

type OpenLayered = LayeredDecoder & AsyncDisposable;

/** Two slots of a decoder half of whose layers are lazy, unless told otherwise. */
async function open(
  engine: Engine,
  model: SmallModel,
  bits: KvBits,
  lazyLayers = LAYERS / 2,
): Promise<OpenLayered> {
  using file = await openGguf(model.path);
  const source = { file, sha256: model.sha256, graphs: model.directory };
  const opened = await openHostModel(engine, source, {
    blocks: 1,
    formats: rowFormats(bits, engine),
    tailRows: 16,
    layered: true,
    threads: 1,
  });
  const { sinks, window } = POLICY;
  const room = { sinks, window, lazyLayers, slots: 2, chunk: 64 };
  const decoder = new LayeredDecoder(opened, room);
  return Object.assign(decoder, {
    [Symbol.asyncDispose]: () => decoder.release(),
  });
}

/** Appends a prompt, asking for the last token's logits alone. */
async function prefill(
  decoder: LayeredDecoder,
  tokens: readonly number[],
  { chunk }: { chunk: number },
): Promise<Float32Array> {
  let logits = new Float32Array(0);
  for (let at = 0; at < tokens.length;) {
    const count = Math.min(chunk, decoder.limit(0), tokens.length - at);
    const last = at + count === tokens.length;
    const part = { slot: 0, tokens: tokens.slice(at, at + count) };
    const [given] = await decoder.run([{ ...part, logits: last ? 1 : 0 }]);
    if (last) logits = given as Float32Array<ArrayBuffer>;
    at += count;
  }
  return logits;
}

/** By definition: what the last 32 queries of a prompt gave to near tokens, by layer. */
function massOf(
  conversation: ReferenceConversation,
  prompt: readonly number[],
): number[] {
  const isNear = nearPositions(prompt.length, LAZY.window);
  const mass = Array<number>(LAYERS).fill(0);
  for (const [p, token] of prompt.entries()) {
    conversation.append(token);
    if (p < prompt.length - 32) continue;
    for (const [layer, heads] of conversation.weights.entries()) {
      for (const weights of heads) {
        for (const [q, weight] of weights.entries()) {
          if (isNear(q)) mass[layer]! += weight / heads.length / 32;
        }
      }
    }
  }
  return mass;
}
