import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { cutIntoPlanes, planeWeights } from "../../lib/graph/planes.ts";
import { runGraph } from "./tiny_graph.ts";

const LARGEST = 24;
const ZERO = 64;

/** Numbers as planes, and what these come to again. */
async function throughPlanes(numbers: Float32Array, count: number) {
  const planes = { count, largest: LARGEST };
  const { bytes, weights } = await runGraph((graph) => {
    const x = graph.input("x", "float32", [1, numbers.length]);
    const cut = cutIntoPlanes(graph, "cut", x, planes);
    graph.cast("bytes", cut, "float32");
    graph.output("bytes", "float32", [count, numbers.length]);
    graph.node("Identity", "weights", [planeWeights(graph, planes)]);
    graph.output("weights", "float32", [1, count]);
    return Promise.resolve();
  }, { x: { data: numbers, dims: [1, numbers.length] } });
  const back = Array.from(
    numbers,
    (_, i) =>
      weights!.reduce(
        (sum, weight, plane) =>
          sum + weight * (bytes![plane * numbers.length + i]! - ZERO),
        0,
      ),
  );
  return { bytes: bytes!, back };
}

for (const count of [1, 2, 3]) {
  Deno.test(`${count} planes: numbers come back to ${7 * count - 1} bits of the largest, of bytes that no CPU saturates with`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.float32Array({
          min: -LARGEST,
          max: LARGEST,
          noNaN: true,
          minLength: 1,
        }),
        async (some) => {
          const numbers = Float32Array.of(...some, -LARGEST, 0, LARGEST);
          const { bytes, back } = await throughPlanes(numbers, count);
          // One x86 instruction adds two products of such bytes with codes of −128 … 127 in 16 bits.
          assert(bytes.every((byte) => byte <= 128));
          const step = LARGEST / 63 / 128 ** (count - 1);
          for (const [i, number] of numbers.entries()) {
            // f32 rounds, too: to 24 bits.
            const most = step / 2 + LARGEST * 2 ** -22;
            assert(
              Math.abs(back[i]! - number) <= most,
              `${back[i]}, ${number}`,
            );
          }
          assertEquals(back.at(-2), 0);
        },
      ),
      { numRuns: 20 },
    );
  });
}
