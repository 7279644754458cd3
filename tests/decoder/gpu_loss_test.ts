import { assert, assertEquals, assertRejects } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { GpuDecoder } from "../../lib/decoder/gpu_decoder.ts";
import { createSampler } from "../../lib/sampling/mod.ts";
import { Scheduler } from "../../lib/scheduler/scheduler.ts";
import {
  mulberry32,
  randomTokens,
  writeSmallModel,
} from "../reference/small_model.ts";
import { gpuAbsent } from "./gpu_absent.ts";
import { type GpuFixture, openGpuFixture } from "./gpu_fixture.ts";
import { Losses, type LossMoment } from "./gpu_losses.ts";

const ignore = gpuAbsent !== null;
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
    turns: Array.from({ length: 7 }, (_, turn) => ({
      prompt: randomTokens(whole(1, 25), 96, 10 * index + turn),
      answer: whole(3, 12),
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
  const { policy, turns } = scriptOf(index);
  const { signal } = new AbortController();
  const sampler = createSampler({ temperature: 0 }, decoder.vocabulary);
  const written: number[] = [];
  let slot = free.shift()!;
  decoder.open(slot, policy);
  for (const { prompt, answer, then } of turns) {
    let { token } = await scheduler.prefill(slot, prompt, { sampler, signal });
    for (let i = 0; i < answer; i++) {
      written.push(token);
      const before = decoder.seen(slot);
      ({ token } = await scheduler.step(slot, token, { sampler, signal }));
      assertEquals(decoder.seen(slot), before + 1);
    }
    if (then === "rewind" && decoder.seen(slot) <= policy.capacity) {
      decoder.rewind(slot, Math.ceil(decoder.seen(slot) / 2));
    } else if (then === "move" || then === "swap") {
      const snapshot = decoder.save(slot);
      happen("save");
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
    "8 conversations go on as if nothing had been, though their device is lost 21 times",
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
    using losses = new Losses(fixture, { times: 3, apart: 8 });
    const actual = await converseAll(fixture, losses.happen);
    assertEquals(actual, expected);
    assertEquals(losses.left, []);
    assertEquals(fixture.gpus.length, 1 + 21);
  },
});
