import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  decodeTree,
  encodeTree,
  type Tree,
} from "../../lib/cache/tree_bytes.ts";

const leaf: fc.Arbitrary<Tree> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.string(),
  fc.uint8Array(),
  fc.int16Array(),
  fc.uint32Array(),
  fc.float32Array({ noNaN: true }),
  fc.float64Array({ noNaN: true }),
  fc.uint8Array().map((bytes) => bytes.slice().buffer as ArrayBuffer),
);
const tree = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((key) => key !== "$" && key !== "__proto__"),
      tie("tree"),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
})).tree;

Deno.test("tree_bytes: any tree comes back as it was, from any place in memory", () => {
  fc.assert(fc.property(tree, fc.nat(7), (tree, offset) => {
    const bytes = encodeTree(tree);
    const moved = new Uint8Array(bytes.length + offset);
    moved.set(bytes, offset);
    assertEquals(decodeTree(moved.subarray(offset)), tree);
  }));
});

Deno.test("tree_bytes: views of larger buffers are written as what they show", () => {
  const view = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
  assertEquals(decodeTree(encodeTree([view])), [Float32Array.of(2, 3)]);
});

Deno.test("tree_bytes: bytes that are cut off, or something else, are refused", () => {
  const bytes = encodeTree({
    a: Uint8Array.of(1, 2, 3),
    b: [new Float64Array(4)],
  });
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => decodeTree(bytes.slice(0, length)), RangeError);
  }
  for (const at of [0, 4]) {
    const other = bytes.slice();
    other[at]! ^= 1;
    assertThrows(() => decodeTree(other), RangeError, "version");
  }
});

Deno.test("tree_bytes: what is no tree is refused", () => {
  for (
    const value of [undefined, () => {}, 1n, { $: 1 }, new BigInt64Array(1)]
  ) {
    assertThrows(() => encodeTree([value as unknown as Tree]), TypeError);
  }
});
