import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  cutIntoPlanes,
  type Planes,
  planeSteps,
  planeWeights,
  positivePlanes,
  signedPlanes,
} from "../../lib/graph/planes.ts";
import { runGraph } from "./tiny_graph.ts";

const LARGEST = 24;

/** Numbers as planes, and what these come to again. */
async function throughPlanes(numbers: Float32Array, planes: Planes) {
  const { count } = planes;
  const { bytes, weights } = await runGraph((graph) => {
    const x = graph.input("x", "float32", [1, numbers.length]);
    const steps = planeSteps(graph, planes, LARGEST);
    const raised = graph.node("Mul", "raised", [x, steps]);
    const cut = cutIntoPlanes(graph, "cut", raised, planes);
    graph.cast("bytes", cut, "float32");
    graph.output("bytes", "float32", [count, numbers.length]);
    graph.node("Identity", "weights", [planeWeights(graph, planes, LARGEST)]);
    graph.output("weights", "float32", [1, count]);
    return Promise.resolve();
  }, { x: { data: numbers, dims: [1, numbers.length] } });
  const back = Array.from(
    numbers,
    (_, i) =>
      weights!.reduce(
        (sum, weight, plane) =>
          sum + weight * (bytes![plane * numbers.length + i]! - planes.zero),
        0,
      ),
  );
  return { bytes: bytes!, back };
}

for (
  const planes of [2, 3].flatMap((n) => [signedPlanes(n), positivePlanes(n)])
) {
  const bits = 7 * planes.count - (planes.zero === 0 ? 0 : 1);
  Deno.test(`${planes.name}: numbers come back to ${bits} bits of the largest, and no plane has more than 7`, async () => {
    const least = planes.zero === 0 ? 0 : -LARGEST;
    await fc.assert(
      fc.asyncProperty(
        fc.float32Array({
          min: least,
          max: LARGEST,
          noNaN: true,
          minLength: 1,
        }),
        async (some) => {
          const numbers = Float32Array.of(...some, least, 0, LARGEST);
          const { bytes, back } = await throughPlanes(numbers, planes);
          // One x86 instruction adds two products of such bytes with codes of 8 bits in 16 bits.
          assert(bytes.every((byte) => 2 * byte * 128 < 2 ** 15));
          const step = LARGEST / planes.steps / 128 ** (planes.count - 1);
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
