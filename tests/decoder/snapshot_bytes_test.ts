/** Snapshots through bytes, from each decoder into another process's, bit for bit. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RecomputedWindow } from "../../lib/cache/recomputed_window.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { encodeTree } from "../../lib/cache/tree_bytes.ts";
import { RecomputingDecoder } from "../../lib/decoder/recomputing_decoder.ts";
import {
  snapshotFromBytes,
  snapshotToBytes,
} from "../../lib/decoder/snapshot_bytes.ts";
import { NATIVE } from "../../lib/engine/native.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";
import { absentReason } from "../gpu.ts";
import {
  randomBoundaries,
  randomTokens,
  writeSmallModel,
} from "../reference/small_model.ts";
import { appendAll, gpuEngine, hostEngine, openDecoder } from "./open.ts";

const LAYOUT = { sinkRows: 4, blocks: [4, 9] };
const POLICIES = [
  new SinkWindow(4, 13),
  new SinkWindow(0, 9),
  new RecomputedWindow(13),
];

const ENGINES = [
  hostEngine(NATIVE),
  ...([16, 8, 4] as const).map((bits) =>
    hostEngine(NATIVE, { formats: rowFormats(bits), tailRows: 3 })
  ),
  gpuEngine("f32"),
  gpuEngine("f16"),
];

for (const engine of ENGINES) {
  const gpu = engine.name.startsWith("webgpu");
  Deno.test({
    name:
      `snapshot_bytes ${engine.name}: another decoder goes on as this one does`,
    ignore: gpu && absentReason !== null,
    async fn() {
      await using model = await writeSmallModel();
      const options = { layout: LAYOUT, slots: 2, chunk: 4 };
      await using one = await openDecoder(engine, model, options);
      await using two = await openDecoder(engine, model, options);
      const [from, to] = [one, two].map((d) => new RecomputingDecoder(d));
      // A GPU in software takes its time, and its rows are of one kind.
      const cases = gpu
        ? [[POLICIES[0]!, 20, true] as const]
        : POLICIES.flatMap((policy) =>
          [[policy, 3, false], [policy, 20, false], [policy, 30, true]] as const
        );
      for (const [policy, copied, told] of cases) {
        const tokens = randomTokens(copied + 5);
        const boundaries = told ? randomBoundaries(tokens.length, 5) : [];
        from!.open(0, policy);
        const before = { size: 3, boundaries };
        await appendAll(from!, tokens.slice(0, copied), before);
        const bytes = await snapshotToBytes(from!.save(0));
        await to!.restore(0, snapshotFromBytes(bytes));
        assertEquals(to!.seen(0), copied);
        const rest = tokens.slice(copied);
        const after = { size: 1, boundaries };
        assertEquals(
          await appendAll(to!, rest, after),
          await appendAll(from!, rest, after),
        );
      }
    },
  });
}

Deno.test("snapshot_bytes: bytes of something else, or for another layout, are refused", async () => {
  for (const tree of [{}, { policy: [4, 13], seen: 3, bytes: 1 }, [1]]) {
    assertThrows(() => snapshotFromBytes(encodeTree(tree)), RangeError);
  }
  assertThrows(() => snapshotFromBytes(new Uint8Array(100)), RangeError);
  await using model = await writeSmallModel();
  const engine = hostEngine(NATIVE);
  await using one = await openDecoder(engine, model, { layout: LAYOUT });
  await using two = await openDecoder(engine, model, {
    layout: { sinkRows: 4, blocks: [13, 4] },
  });
  const rows = { formats: rowFormats(16), tailRows: 0 };
  await using coarse = await openDecoder(hostEngine(NATIVE, rows), model, {
    layout: LAYOUT,
  });
  one.open(0, POLICIES[0]!);
  await appendAll(one, randomTokens(5), { size: 5 });
  const bytes = await snapshotToBytes(one.save(0));
  for (const other of [two, coarse]) {
    await assertRejects(
      () => other.restore(0, snapshotFromBytes(bytes)),
      RangeError,
    );
  }
});
