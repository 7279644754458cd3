import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { findCut } from "../../lib/sampling/select.ts";

/** How many of the values a cut keeps. */
function kept(
  values: number[],
  { threshold, ties }: { threshold: number; ties: number },
): number {
  const above = values.filter((v) => v > threshold).length;
  return above + Math.min(ties, values.filter((v) => v === threshold).length);
}

/** Small and long lists (the long ones go through buckets), whose sums are exact: multiples of 1/8. */
function lists(): fc.Arbitrary<number[]> {
  const value = fc.integer({ min: 0, max: 80 }).map((n) => n / 8);
  return fc.oneof(
    fc.array(value, { minLength: 1, maxLength: 40 }),
    fc.array(value, { minLength: 256, maxLength: 700, size: "max" }),
  );
}

Deno.test("a cut by count keeps exactly that many", () => {
  fc.assert(
    fc.property(lists(), fc.integer({ min: 1, max: 700 }), (values, k) => {
      const cut = findCut(Float64Array.from(values), k, "count");
      assertEquals(kept(values, cut), Math.min(k, values.length));
    }),
  );
});

Deno.test("a cut by mass keeps the smallest prefix of the sorted values that reaches the target", () => {
  fc.assert(
    fc.property(
      lists(),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (values, share) => {
        const target = share * values.reduce((a, b) => a + b);
        if (target === 0) return;
        const sorted = values.toSorted((a, b) => b - a);
        let sum = 0;
        let size = 0;
        while (sum < target) sum += sorted[size++]!;
        const cut = findCut(Float64Array.from(values), target, "mass");
        assertEquals(kept(values, cut), size);
        assertEquals(cut.threshold, sorted[size - 1]);
      },
    ),
  );
});

Deno.test("a cut whose target is out of reach keeps everything", () => {
  for (const n of [1, 3, 300]) {
    const values = Array.from({ length: n }, (_, i) => i + 1);
    assertEquals(
      kept(values, findCut(Float64Array.from(values), n * n * 2, "mass")),
      n,
    );
  }
});
