/**
 * Attention of one token's queries over rows of keys and values in memory, as WebAssembly text with SIMD: what a
 * graph cannot say. Its operators read the rows anew for each query head of a group, and take encoded ones only
 * decoded or cut into planes; these read them once for up to {@linkcode MOST_QUERIES} heads, as they lie.
 *
 * All pointers are bytes. Rows are `[rows, headDim]` of a {@linkcode RowElement}, all else is f32. Lines of scores
 * lie `stride` bytes apart, one for each head. Keys are read by {@linkcode ROW_STEP}, up to 3 behind the last, too,
 * whatever lies there: their scores are to be hidden.
 *
 * @module
 */

/** Query heads of one pass over the rows; more would not fit the registers of a CPU with 16. */
export const MOST_QUERIES = 3;

/** Keys that the kernel takes at a time. */
export const ROW_STEP = 4;

/** Widths of heads that the kernel takes: multiples of this. */
export const HEAD_STEP = 16;

/** What rows can be made of. */
export const ROW_ELEMENTS = ["float32", "int16", "int8"] as const;

/** What a row is made of. */
export type RowElement = typeof ROW_ELEMENTS[number];

/** Rows whose values are added before sums go back to memory. */
const TILE = 16;

const ELEMENT_BYTES: Readonly<Record<RowElement, number>> = {
  float32: 4,
  int16: 2,
  int8: 1,
};

/** Functions of the module; those of rows are for 1 … {@linkcode MOST_QUERIES} heads. */
export type AttendRowsExports =
  & {
    /** Rotates heads of `x` into `to`: pairs (i, i + headDim / 2), by cosines and sines of headDim / 2 pairs. */
    rotate(
      x: number,
      cos: number,
      sin: number,
      to: number,
      heads: number,
    ): void;
    /** Multiplies `count` numbers, a multiple of 4, with others. */
    weigh(x: number, by: number, count: number): void;
    /** Hides `count` of a head's scores: their exponentials are 0. */
    hide(scores: number, count: number): void;
    /** Turns `count` scores, a multiple of 4, into exponentials relative to the largest; gives their sum. */
    exponentials(scores: number, count: number): number;
    /** Multiplies a head's values. */
    scale(x: number, factor: number): void;
    /** Sets bytes to 0. */
    clear(at: number, bytes: number): void;
  }
  & {
    /** Products of heads with keys. */
    [scores in `${RowElement}_scores${number}`]: (
      queries: number,
      keys: number,
      scores: number,
      rows: number,
      stride: number,
    ) => void;
  }
  & {
    /** Adds values, each as often as its weight says, to heads of `to`. */
    [mix in `${RowElement}_mix${number}`]: (
      weights: number,
      values: number,
      to: number,
      rows: number,
      stride: number,
    ) => void;
  };

/**
 * The module's text; it imports a shared memory, `memory` of `host`.
 *
 * @param headDim a multiple of {@linkcode HEAD_STEP}
 */
export function attendRows(headDim: number): string {
  const kinds = ROW_ELEMENTS.flatMap((element) =>
    range(MOST_QUERIES).map((n): Kind => ({ element, heads: n + 1, headDim }))
  );
  return `(module
    (import "host" "memory" (memory 1 65536 shared))
    ${rotate(headDim)}
    ${kinds.map(scores).join("\n")}
    ${weigh()}
    ${exponentials()}
    ${kinds.map(mix).join("\n")}
    ${scale(headDim)}
    ${clear()})`;
}

/** What a function of rows is for. */
interface Kind {
  readonly element: RowElement;
  readonly heads: number;
  readonly headDim: number;
}

function rotate(headDim: number): string {
  const half = headDim / 2 * 4;
  const pairs = range(headDim / 8).map((c) => {
    const at = c * 16;
    return `
      (local.set $a (v128.load offset=${at} (local.get $x)))
      (local.set $b (v128.load offset=${at + half} (local.get $x)))
      (local.set $c (v128.load offset=${at} (local.get $cos)))
      (local.set $s (v128.load offset=${at} (local.get $sin)))
      (v128.store offset=${at} (local.get $to)
        (f32x4.sub (f32x4.mul (local.get $a) (local.get $c)) (f32x4.mul (local.get $b) (local.get $s))))
      (v128.store offset=${at + half} (local.get $to)
        (f32x4.add (f32x4.mul (local.get $b) (local.get $c)) (f32x4.mul (local.get $a) (local.get $s))))`;
  });
  return `(func (export "rotate")
    (param $x i32) (param $cos i32) (param $sin i32) (param $to i32) (param $heads i32)
    (local $a v128) (local $b v128) (local $c v128) (local $s v128)
    (loop $head ${pairs.join("")}
      ${advance("x", headDim * 4)} ${advance("to", headDim * 4)}
      (br_if $head (local.tee $heads (i32.sub (local.get $heads) (i32.const 1))))))`;
}

/** Four rows at a time: 4 sums of each head, each of 4 lanes that are added at the end. */
function scores({ element, heads, headDim }: Kind): string {
  const products = range(headDim / 4).flatMap((c) => [
    ...range(heads).map((g) =>
      `(local.set $q${g} (v128.load offset=${
        (g * headDim + c * 4) * 4
      } (local.get $queries)))`
    ),
    ...range(ROW_STEP).flatMap((r) => [
      `(local.set $x ${
        four(element, r * headDim + c * 4, "(local.get $keys)")
      })`,
      ...range(heads).map((g) => {
        const by = `(local.get $x) (local.get $q${g})`;
        return `(local.set $s${g}${r} ${
          c === 0
            ? `(f32x4.mul ${by})`
            : `(f32x4.relaxed_madd ${by} (local.get $s${g}${r}))`
        })`;
      }),
    ]),
  ]);
  const sums = range(heads).map((g) => {
    const sum = (r: number) => `(local.get $s${g}${r})`;
    return `
      (local.set $s${g}0 ${halves(sum(0), sum(1))})
      (local.set $s${g}2 ${halves(sum(2), sum(3))})
      (v128.store ${line("scores", g)} (f32x4.add
        ${words([0, 1, 4, 5], sum(0), sum(2))}
        ${words([2, 3, 6, 7], sum(0), sum(2))}))`;
  });
  const vectors = (g: number) => [
    `q${g}`,
    ...range(ROW_STEP).map((r) => `s${g}${r}`),
  ];
  return `(func (export "${element}_scores${heads}")
    (param $queries i32) (param $keys i32) (param $scores i32) (param $rows i32) (param $stride i32)
    (local $x v128) ${locals(range(heads).flatMap(vectors))}
    (loop $more ${products.join("\n")} ${sums.join("")}
      ${advance("keys", ROW_STEP * headDim * ELEMENT_BYTES[element])}
      ${advance("scores", ROW_STEP * 4)}
      (br_if $more (i32.gt_s
        (local.tee $rows (i32.sub (local.get $rows) (i32.const ${ROW_STEP}))) (i32.const 0)))))`;
}

function weigh(): string {
  return `(func (export "weigh") (param $x i32) (param $by i32) (param $count i32)
    (loop $more
      (v128.store (local.get $x) (f32x4.mul (v128.load (local.get $x)) (v128.load (local.get $by))))
      ${advance("x", 16)} ${advance("by", 16)}
      (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 4))))))
  (func (export "hide") (param $scores i32) (param $count i32)
    (loop $more
      (f32.store (local.get $scores) (f32.const -inf))
      ${advance("scores", 4)}
      (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))`;
}

/**
 * exp x = 2ⁿ · exp r with n the integer next to x / ln 2: Taylor's polynomial of degree 6 is off by 1.2e-7 of
 * exp r at most, for r is within ln 2 / 2. x / ln 2 + 1.5 · 2²³ has n in its lowest bits, which are added to the
 * exponent. What would be a denormal is 0.
 */
function exponentials(): string {
  // In locals, since a compiler makes a constant anew wherever it stands.
  const constants: Record<string, string> = {
    octave: String(Math.LOG2E),
    magic: String(1.5 * 2 ** 23),
    high: "0.693359375",
    low: "-2.12194440e-4",
    least: "-87",
    ...Object.fromEntries(
      [1, 1, 2, 6, 24, 120, 720].map((k, i) => [`c${i}`, String(1 / k)]),
    ),
  };
  const get = (name: string) => `(local.get $${name})`;
  const polynomial = range(6).reduceRight(
    (sum, i) => `(f32x4.relaxed_madd ${sum} ${get("r")} ${get(`c${i}`)})`,
    get("c6"),
  );
  return `(func (export "exponentials") (param $scores i32) (param $count i32) (result f32)
    (local $at i32) (local $end i32)
    ${locals(["x", "n", "r", "most", "sum", ...Object.keys(constants)])}
    ${
    Object.entries(constants).map(([name, value]) =>
      `(local.set $${name} (f32x4.splat (f32.const ${value})))`
    ).join("\n")
  }
    (local.set $end (i32.add (local.get $scores) (i32.mul (local.get $count) (i32.const 4))))
    (local.set $most (f32x4.splat (f32.const -inf)))
    (local.set $at (local.get $scores))
    (loop $more
      (local.set $most (f32x4.relaxed_max (local.get $most) (v128.load (local.get $at))))
      ${advance("at", 16)}
      (br_if $more (i32.lt_u (local.get $at) (local.get $end))))
    (local.set $most (f32x4.relaxed_max (local.get $most) ${
    words([2, 3, 0, 1], get("most"), get("most"))
  }))
    (local.set $most (f32x4.relaxed_max (local.get $most) ${
    words([1, 0, 3, 2], get("most"), get("most"))
  }))
    (local.set $at (local.get $scores))
    (loop $more
      (local.set $x (f32x4.sub (v128.load (local.get $at)) (local.get $most)))
      (local.set $n (f32x4.relaxed_madd (local.get $x) (local.get $octave) (local.get $magic)))
      (local.set $r (f32x4.sub (local.get $n) (local.get $magic)))
      (local.set $r (f32x4.relaxed_nmadd (local.get $r) (local.get $low)
        (f32x4.relaxed_nmadd (local.get $r) (local.get $high) (local.get $x))))
      (local.set $r (v128.and
        (i32x4.add ${polynomial} (i32x4.shl (local.get $n) (i32.const 23)))
        (f32x4.gt (local.get $x) (local.get $least))))
      (v128.store (local.get $at) (local.get $r))
      (local.set $sum (f32x4.add (local.get $sum) (local.get $r)))
      ${advance("at", 16)}
      (br_if $more (i32.lt_u (local.get $at) (local.get $end))))
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $sum)) (f32x4.extract_lane 1 (local.get $sum)))
      (f32.add (f32x4.extract_lane 2 (local.get $sum)) (f32x4.extract_lane 3 (local.get $sum)))))`;
}

/** Tile by tile, so that its rows stay close while each block of columns is added up in registers. */
function mix({ element, heads, headDim }: Kind): string {
  const row = headDim * ELEMENT_BYTES[element];
  const each = (of: (g: number, c: number) => string) =>
    range(heads).flatMap((g) => range(4).map((c) => of(g, c))).join("\n");
  const columns = range(headDim / HEAD_STEP).map((b) => {
    const sum = (g: number, c: number) =>
      (g * headDim + b * HEAD_STEP + c * 4) * 4;
    const products = [
      ...range(heads).map((g) =>
        `(local.set $w${g} (v128.load32_splat ${line("weight", g)}))`
      ),
      ...range(4).flatMap((c) => [
        `(local.set $x ${
          four(element, b * HEAD_STEP + c * 4, "(local.get $row)")
        })`,
        ...range(heads).map((g) =>
          `(local.set $s${g}${c} (f32x4.relaxed_madd
            (local.get $x) (local.get $w${g}) (local.get $s${g}${c})))`
        ),
      ]),
    ];
    return `
      ${
      each((g, c) =>
        `(local.set $s${g}${c} (v128.load offset=${sum(g, c)} (local.get $to)))`
      )
    }
      (local.set $row (local.get $values))
      (local.set $weight (local.get $weights))
      (local.set $left (local.get $tile))
      (loop $more${b} ${products.join("\n")}
        ${advance("row", row)} ${advance("weight", 4)}
        (br_if $more${b} (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      ${
      each((g, c) =>
        `(v128.store offset=${
          sum(g, c)
        } (local.get $to) (local.get $s${g}${c}))`
      )
    }`;
  });
  const vectors = (g: number) => [`w${g}`, ...range(4).map((c) => `s${g}${c}`)];
  return `(func (export "${element}_mix${heads}")
    (param $weights i32) (param $values i32) (param $to i32) (param $rows i32) (param $stride i32)
    (local $tile i32) (local $left i32) (local $row i32) (local $weight i32)
    (local $x v128) ${locals(range(heads).flatMap(vectors))}
    (loop $tiles
      (local.set $tile (select (local.get $rows) (i32.const ${TILE})
        (i32.lt_s (local.get $rows) (i32.const ${TILE}))))
      ${columns.join("")}
      ${advance("values", TILE * row)} ${advance("weights", TILE * 4)}
      (br_if $tiles (i32.gt_s
        (local.tee $rows (i32.sub (local.get $rows) (i32.const ${TILE}))) (i32.const 0)))))`;
}

function scale(headDim: number): string {
  const values = range(headDim / 4).map((c) =>
    `(v128.store offset=${c * 16} (local.get $x) (f32x4.mul
      (v128.load offset=${
      c * 16
    } (local.get $x)) (f32x4.splat (local.get $factor))))`
  );
  return `(func (export "scale") (param $x i32) (param $factor f32)
    ${values.join("\n")})`;
}

/** Not left to JavaScript, whose arrays are slow where threads share the memory. */
function clear(): string {
  return `(func (export "clear") (param $at i32) (param $bytes i32)
    (memory.fill (local.get $at) (i32.const 0) (local.get $bytes)))`;
}

/** Four elements of a row, as f32. */
function four(type: RowElement, element: number, pointer: string): string {
  const at = `offset=${element * ELEMENT_BYTES[type]} ${pointer}`;
  switch (type) {
    case "float32":
      return `(v128.load ${at})`;
    case "int16":
      return `(f32x4.convert_i32x4_s (v128.load16x4_s ${at}))`;
    case "int8":
      return `(f32x4.convert_i32x4_s (i32x4.extend_low_i16x8_s
        (i16x8.extend_low_i8x16_s (v128.load32_zero ${at}))))`;
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function locals(vectors: readonly string[]): string {
  return vectors.map((name) => `(local $${name} v128)`).join(" ");
}

function advance(pointer: string, bytes: number): string {
  return `(local.set $${pointer} (i32.add (local.get $${pointer}) (i32.const ${bytes})))`;
}

/** A head's line: `stride` bytes behind that of the head before. */
function line(pointer: string, head: number): string {
  return head === 0
    ? `(local.get $${pointer})`
    : `(i32.add (local.get $${pointer}) (i32.mul (local.get $stride) (i32.const ${head})))`;
}

/** Four 32-bit words of two vectors' eight. */
function words(take: readonly number[], a: string, b: string): string {
  const bytes = take.flatMap((word) => range(4).map((i) => word * 4 + i));
  return `(i8x16.shuffle ${bytes.join(" ")} ${a} ${b})`;
}

/** Sums of a's and of b's lanes 0 + 2 and 1 + 3, in turns. */
function halves(a: string, b: string): string {
  return `(f32x4.add ${words([0, 4, 1, 5], a, b)} ${
    words([2, 6, 3, 7], a, b)
  })`;
}
