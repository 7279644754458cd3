import { assert, assertEquals, assertRejects } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { Decoder } from "../../lib/decoder/decoder.ts";
import type { GpuDecoder } from "../../lib/decoder/gpu_decoder.ts";
import { GpuLostError } from "../../lib/engine/gpu.ts";
import { createSampler } from "../../lib/sampling/mod.ts";
import { Scheduler } from "../../lib/scheduler/scheduler.ts";
import { writeSmallBenchModel } from "../bench/small_bench_model.ts";
import {
  answer,
  chat,
  openService,
  type ScriptedDecoder,
} from "../chat/scripted_decoder.ts";
import { DecoderReference } from "../reference/decoder_reference.ts";
import {
  mulberry32,
  randomTokens,
  type SmallModel,
  writeSmallModel,
} from "../reference/small_model.ts";
import { absentReason } from "../gpu.ts";
import { type GpuFixture, openGpuFixture } from "./gpu_fixture.ts";
import { LOSS_MOMENTS, Losses, type LossMoment } from "./gpu_losses.ts";
import { appendAll, assertLogits } from "./open.ts";

const ignore = absentReason !== null;
const STREAMS = 8;
/** Conversations are copied to the host after this many tokens, or as many as their caches hold. */
const REPEATED = 20;

/** What one conversation does: its policy, and how often it reads and writes how much. */
function scriptOf(index: number) {
  const random = mulberry32(100 + index);
  const whole = (low: number, high: number) =>
    low + Math.floor(random() * (high - low + 1));
  return {
    policy: new SinkWindow(whole(0, 4), whole(2, 13)),
    /** Its windows begin at its prompts. */
    starts: index % 2 === 0 ? [0] : [],
    turns: Array.from({ length: 5 }, (_, turn) => ({
      prompt: randomTokens(whole(1, 25), 96, 10 * index + turn),
      answer: whole(3, 10),
      then: (["nothing", "rewind", "move", "swap"] as const)[
        (index + turn) % 4
      ]!,
    })),
  };
}

/** What conversations run on. */
interface Stage {
  readonly decoder: GpuDecoder;
  readonly scheduler: Scheduler;
  /** Slots that nobody has. */
  readonly free: number[];
  readonly happen: (moment: LossMoment) => void;
}

/** Plays a conversation's script; gives its tokens. */
async function converse(
  { decoder, scheduler, free, happen }: Stage,
  index: number,
): Promise<number[]> {
  const { policy, starts, turns } = scriptOf(index);
  const { signal } = new AbortController();
  const sampler = createSampler({ temperature: 0 }, decoder.vocabulary);
  const written: number[] = [];
  let slot = free.shift()!;
  decoder.open(slot, policy);
  for (const { prompt, answer, then } of turns) {
    const options = { sampler, signal, starts };
    let { token } = await scheduler.prefill(slot, prompt, options);
    for (let i = 0; i < answer; i++) {
      written.push(token);
      const before = decoder.seen(slot);
      ({ token } = await scheduler.step(slot, token, { sampler, signal }));
      assertEquals(decoder.seen(slot), before + 1);
    }
    if (then === "rewind" && decoder.seen(slot) <= policy.capacity) {
      decoder.rewind(slot, Math.ceil(decoder.seen(slot) / 2));
    } else if (then === "move" || then === "swap") {
      happen("save");
      const snapshot = decoder.save(slot);
      happen("saved");
      const elsewhere = then === "move" ? free.shift()! : slot;
      decoder.open(slot, new SinkWindow(1, 2));
      await scheduler.prefill(slot, [5, 6, 7], { signal }); // over its rows
      const restored = decoder.restore(elsewhere, snapshot);
      happen("restore");
      await restored;
      assertEquals(decoder.seen(elsewhere), snapshot.seen);
      if (elsewhere !== slot) free.push(slot);
      slot = elsewhere;
    }
  }
  return written;
}

async function converseAll(
  { decoder }: GpuFixture,
  happen: (moment: LossMoment) => void,
): Promise<number[][]> {
  const free = Array.from({ length: decoder.slots }, (_, slot) => slot);
  const scheduler = new Scheduler(decoder);
  const stage = { decoder, scheduler, free, happen };
  return await Promise.all(
    Array.from({ length: STREAMS }, (_, index) => converse(stage, index)),
  );
}

Deno.test({
  name:
    "8 conversations go on as if nothing had been, though their device is lost 24 times",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openGpuFixture(model, {
      slots: 2 * STREAMS,
      chunk: 16,
      repeated: REPEATED,
    });
    const expected = await converseAll(fixture, () => {});
    assertEquals(fixture.gpus.length, 1);
    using losses = new Losses(fixture, { times: 3, apart: 60 });
    while (losses.left.length > 0) {
      const actual = await converseAll(fixture, losses.happen);
      assertEquals(actual, expected);
    }
    assertEquals(fixture.gpus.length, 1 + 24);
  },
});

const POLICY = new SinkWindow(4, 13);

/** Logits after each of some tokens, one by one. */
function append(
  decoder: GpuDecoder,
  tokens: readonly number[],
  slot = 0,
): Promise<Float32Array[]> {
  return appendAll(decoder, tokens, { size: 1, slot });
}

/** What the small model gives of `after`, behind the others, when nothing is lost. */
async function undisturbed(
  model: { path: string },
  before: readonly number[],
  after: readonly number[],
): Promise<Float64Array[]> {
  const reference = (await DecoderReference.read(model.path)).start(POLICY);
  reference.appendAll(before);
  return reference.appendAll(after);
}

const TOLERANCE = 1e-4;
const [BEFORE, AFTER] = [randomTokens(40), randomTokens(6, undefined, 8)];

/** Opens a decoder with a conversation in slot 0. */
async function openAppended(model: SmallModel): Promise<GpuFixture> {
  const fixture = await openGpuFixture(model, { slots: 3, repeated: REPEATED });
  fixture.decoder.open(0, POLICY);
  await appendAll(fixture.decoder, BEFORE, { size: 7 });
  return fixture;
}

Deno.test({
  name:
    "requests fail while there is no device for a lost one, and work when there is one again",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openAppended(model);
    const { decoder, hooks } = fixture;
    hooks.opened = (gpu) => {
      gpu.release();
      throw new Error("no adapter was found. Set EVERSTREAM_ENGINE to native");
    };
    fixture.gpu.device.destroy();
    assertEquals(decoder.gpuBytes, { weights: 0, caches: 0, scratch: 0 });
    for (let i = 0; i < 3; i++) {
      await assertRejects(
        () => append(decoder, AFTER),
        Error,
        "lost and could not be replaced: no adapter was found. Set EVERSTREAM_ENGINE",
      );
      assertEquals(decoder.seen(0), BEFORE.length);
    }
    const saved = decoder.save(0);
    assertEquals(saved.seen, BEFORE.length);
    await assertRejects(() => decoder.restore(1, saved), Error, "no adapter");
    hooks.opened = () => {};
    const expected = await undisturbed(model, BEFORE, AFTER);
    assertLogits(await append(decoder, AFTER), expected, TOLERANCE);
    await decoder.restore(1, saved);
    assertLogits(await append(decoder, AFTER, 1), expected, TOLERANCE);
    assert(decoder.gpuBytes.caches > 0);
  },
});

Deno.test({
  name:
    "a device lost while conversations are brought back is replaced, too, but not for ever",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openAppended(model);
    const { decoder, hooks } = fixture;
    const { opened, run } = hooks;
    const expected = await undisturbed(model, BEFORE, AFTER);
    const loseNext = (times: number, when: "opened" | "run") => {
      const lose = () => {
        if (times-- > 0) fixture.gpu.device.destroy();
      };
      hooks.opened = when === "opened" ? lose : opened;
      hooks.run = async ({ go }) => {
        if (when === "run") lose();
        await go();
      };
    };
    for (const when of ["opened", "run"] as const) {
      const copy = decoder.save(0);
      const devices = fixture.gpus.length;
      fixture.gpu.device.destroy();
      loseNext(2, when);
      assertLogits(await append(decoder, AFTER), expected, TOLERANCE, when);
      assertEquals(fixture.gpus.length, devices + 3);
      await decoder.restore(0, copy);

      fixture.gpu.device.destroy();
      loseNext(3, when);
      await assertRejects(() => append(decoder, AFTER), GpuLostError);
      assertEquals(decoder.seen(0), BEFORE.length);
      assertLogits(await append(decoder, AFTER), expected, TOLERANCE, when);
      await decoder.restore(0, copy);
    }
    hooks.run = run;
  },
});

Deno.test({
  name:
    "a conversation that cannot be brought back fails alone, until it is begun anew",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openAppended(model);
    const { decoder, hooks } = fixture;
    decoder.open(1, POLICY);
    await append(decoder, BEFORE, 1);
    const { run } = hooks;
    hooks.run = () => {
      hooks.run = run;
      return Promise.reject(new Error("engine failed on purpose"));
    };
    fixture.gpu.device.destroy();
    const expected = await undisturbed(model, BEFORE, AFTER);
    assertLogits(await append(decoder, AFTER, 1), expected, TOLERANCE);
    for (let i = 0; i < 2; i++) {
      await assertRejects(
        () => append(decoder, AFTER),
        Error,
        "could not be brought back",
      );
    }
    decoder.open(0, POLICY);
    await append(decoder, BEFORE);
    assertLogits(await append(decoder, AFTER), expected, TOLERANCE);
    const alive = fixture.gpus.filter(({ isLost }) => !isLost);
    assertEquals(alive, [fixture.gpu]);
  },
});

Deno.test({
  name:
    "a conversation that was rewound to before its copy is brought back as far as it was rewound",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openGpuFixture(model, { slots: 2 });
    const { decoder } = fixture;
    for (const count of [0, 2, 9]) {
      decoder.open(0, POLICY);
      await append(decoder, BEFORE.slice(0, 15));
      await decoder.restore(1, decoder.save(0));
      await append(decoder, [1, 2], 1);
      decoder.rewind(1, count);
      fixture.gpu.device.destroy();
      const actual = await append(decoder, AFTER.slice(0, 3), 1);
      fixture.gpu.device.destroy();
      actual.push(...await append(decoder, AFTER.slice(3), 1));
      const kept = BEFORE.slice(0, count);
      const expected = await undisturbed(model, kept, AFTER);
      assertLogits(actual, expected, TOLERANCE, `rewound to ${count}`);
    }
  },
});

/** Of swapped conversations and shared beginnings. */
const ROOM = { swapBytes: 1e8, sharedBytes: 1e8 };

Deno.test({
  name:
    "8 answers of a chat service go on as if nothing had been, though their device is lost",
  ignore,
  async fn() {
    const directory = await Deno.makeTempDir({ prefix: "everstream-chat-" });
    try {
      const path = await writeSmallBenchModel(directory);
      await using fixture = await openGpuFixture({ path, directory }, {
        slots: STREAMS,
        window: 20,
        repeated: REPEATED,
      });
      const answers = async () => {
        // It asks of it what every decoder has.
        const decoder = fixture.decoder as Decoder as ScriptedDecoder;
        const service = openService(decoder, { window: 20, ...ROOM });
        return await Promise.all(
          Array.from({ length: STREAMS }, async (_, i) => {
            const asked = ["hello user ".repeat(i + 1)];
            const text: string[] = [];
            for (const question of ["and then", "why"]) {
              const request = chat(asked, {
                system: "the user",
                maxTokens: 25,
              });
              text.push((await answer(service, request)).text);
              asked.push(text.at(-1)!, question);
            }
            return text;
          }),
        );
      };
      const expected = await answers();
      assert(expected.flat().some((text) => text.length > 5));
      using losses = new Losses(fixture, { times: 1, apart: 40 });
      const actual = await answers();
      assertEquals(actual, expected);
      assertEquals(
        fixture.gpus.length,
        1 + LOSS_MOMENTS.length - losses.left.length,
      );
      assert(losses.left.length <= 3, `${losses.left} were left out`);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
