import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import {
  averages,
  type Measured,
  propose,
  readCalibration,
  writeCalibration,
} from "../../lib/calibration/calibration.ts";
import { measureLayers } from "../../lib/calibration/measure.ts";
import { parseCalibrateOptions } from "../../lib/calibration/options.ts";
import { formatCalibration } from "../../lib/calibration/report.ts";
import { SHIPPED } from "../../lib/calibration/shipped.ts";
import { openHostModel } from "../../lib/decoder/open_decoder.ts";
import { NATIVE } from "../../lib/engine/native.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import { randomTokens, writeSmallModel } from "../reference/small_model.ts";

const SHA = "0123456789abcdef".repeat(4);
const MEASURED: Measured = {
  tokens: 4096,
  places: 2,
  threshold: 0.9,
  loss: 0.01,
  mass: [0.6, 0.95, 0.9],
  losses: [null, 0.02, 0.003],
};

Deno.test("a calibration is read back as it was written, and a later one replaces it", async () => {
  const graphs = await Deno.makeTempDir();
  try {
    const of = { sha256: SHA, graphs: join(graphs, "new") };
    assertEquals(await readCalibration(of), null);
    for (const threshold of [0.9, 0.5]) {
      const written = propose({ ...MEASURED, threshold });
      await writeCalibration(of, written);
      assertEquals(await readCalibration(of), written);
    }
    const other = { ...of, sha256: "f".repeat(64) };
    assertEquals(await readCalibration(other), null);
  } finally {
    await Deno.remove(graphs, { recursive: true });
  }
});

Deno.test("a calibration that cannot be read is an error that says where it is", async () => {
  const graphs = await Deno.makeTempDir();
  try {
    const of = { sha256: SHA, graphs };
    const good = propose(MEASURED);
    const path = await writeCalibration(of, good);
    for (const text of ["{", "{}", JSON.stringify({ ...good, mass: [2] })]) {
      await Deno.writeTextFile(path, text);
      await assertRejects(() => readCalibration(of), SyntaxError, path);
    }
  } finally {
    await Deno.remove(graphs, { recursive: true });
  }
});

Deno.test("layers that attend to what is near are lazy, but for those that lose too much", () => {
  const { lazyLayers, keptLayers } = propose(MEASURED);
  assertEquals([lazyLayers, keptLayers], [1, [1]]);
  const patient = propose({ ...MEASURED, loss: 0.021 });
  assertEquals([patient.lazyLayers, patient.keptLayers], [2, []]);
  assertEquals(averages([[1, null, null], [2, 0.5, null]]), [1.5, 0.5, null]);
});

Deno.test("what is shipped is what would be proposed from its measures", () => {
  assert(Object.keys(SHIPPED).length > 0);
  for (const [sha256, calibration] of Object.entries(SHIPPED)) {
    assert(/^[0-9a-f]{64}$/.test(sha256));
    const { lazyLayers: _, keptLayers: __, ...measured } = calibration;
    assertEquals(propose(measured), calibration);
  }
});

Deno.test("mass is measured of all layers, losses of those that attend to what is near", async () => {
  await using small = await writeSmallModel({ layers: 3 });
  using file = await openGguf(small.path);
  const source = { file, sha256: small.sha256, graphs: small.directory };
  const rings = { blocks: 1, layered: true, threads: 1 };
  const model = await openHostModel(NATIVE, source, rings);
  try {
    const room = { sinks: 4, window: 96, chunk: 16 };
    const tokens = randomTokens(100);
    const measure = (threshold: number) =>
      measureLayers({ model, room }, tokens, { prompt: 60, threshold });
    const all = await measure(0);
    assertEquals(all.mass.length, 3);
    for (const of of all.mass) assert(of > 0 && of < 1, `${of}`);
    for (const of of all.losses) assert(of! > 1e-6, `${of}`);
    const between = all.mass.toSorted((a, b) => a - b)[1]!;
    const some = await measure(between);
    assertEquals(some.losses.filter((of) => of === null).length, 1);
    assertEquals(
      some.losses[all.mass.indexOf(between)],
      all.losses[all.mass.indexOf(between)],
    );
  } finally {
    await model.session.release();
  }
});

Deno.test("calibrate's report names each lazy layer, and its options are checked", () => {
  const lines = formatCalibration(propose(MEASURED)).split("\n");
  assertEquals(lines.filter((line) => line.endsWith("  lazy")).length, 1);
  assertEquals(lines.filter((line) => line.endsWith("  kept")).length, 1);
  assert(lines.at(-1)!.includes("is 1 of 3 layers"));
  const { help: _, ...defaults } = parseCalibrateOptions(["--text", "a"]);
  assertEquals(defaults, {
    text: "a",
    tokens: 4096,
    places: 4,
    threshold: 0.9,
    loss: 0.01,
  });
  assertThrows(() => parseCalibrateOptions([]), RangeError, "--text");
  for (
    const [option, value] of [["threshold", "2"], ["tokens", "9"], [
      "places",
      "0",
    ]]
  ) {
    assertThrows(
      () => parseCalibrateOptions(["--text", "a", `--${option}`, value!]),
      RangeError,
      option!,
    );
  }
});
