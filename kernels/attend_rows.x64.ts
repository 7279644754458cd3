/**
 * Attention of one token over rows of keys and values in memory, as machine code: what a graph cannot say. Its
 * operators read the rows anew for each query head of a group, and take encoded ones only decoded or cut into
 * planes; this reads them once for up to {@linkcode MOST_HEADS} heads, as they lie, and never keeps more than a
 * block of scores: the softmax goes on from block to block ("online", as in FlashAttention, arXiv 2205.14135).
 *
 * The code is one function `item(job, index)` of C, that any thread may call with any index: an item is one
 * conversation's queries of some heads of one KV head. All that it reads of a step is in memory that
 * {@linkcode JOB} and its parts describe.
 *
 * @module
 */
import { ROW_TYPE_BYTES } from "../lib/cache/layout.ts";
import type { AttentionShape } from "../lib/graph/decoder_shape.ts";
import {
  CONSTANTS,
  FIELD,
  FLOAT,
  headsOfItem,
  JOB,
  KEYS,
  LANE,
  LANES,
  MOST_HEADS,
  PART,
  ROW_ELEMENTS,
  type RowElement,
} from "./attend_job.ts";
import {
  Assembler,
  at,
  type Label,
  type Memory,
  type Pointer,
  R,
  type Vector,
  ymm,
} from "./x64_assembler.ts";

const VECTOR = LANES * FLOAT;
/** Rows of which scores are kept. */
const BLOCK = 128;
/** Bytes of a head's scores; keys that are taken together give a whole vector, of which half counts. */
const SCORES = (BLOCK + LANES) * FLOAT;
/** Values that are added up before sums go back to memory. */
const TILE = 16;

/** Minus infinity, by its bits. */
const HIDDEN = 0xff800000 | 0;
/** The lowest bit of an f32's exponent. */
const EXPONENT_BIT = 23;
/** Comparison that no NaN passes. */
const GREATER = 0x1e;
// Orders of a vector's halves and lanes.
const SWAP_HALVES = 0x01;
const SWAP_PAIRS = 0x4e;
const SWAP_NEIGHBOURS = 0xb1;

/** The function's machine code, for heads of such widths as the kernel takes. */
export function attendRows(shape: AttentionShape): Uint8Array<ArrayBuffer> {
  return new AttendRows(shape).assemble();
}

// Registers that keep their meaning: the frame, the constants, and what a run of rows is asked for with.
const FRAME = R.rbx;
const NUMBERS = R.r15;
const RUN = {
  keys: R.rdi,
  values: R.rsi,
  keyScales: R.rdx,
  valueScales: R.rcx,
  /** Rows that are left. */
  rows: R.r8,
  queries: R.r9,
  /** Rows of a block. */
  block: R.r10,
};

/** Writes the code down. */
class AttendRows {
  readonly #shape: AttentionShape;
  /** Query heads of an item. */
  readonly #heads: number;
  readonly #frame: Frame;
  readonly #a = new Assembler();
  readonly #runs: Readonly<Record<RowElement, Label>>;

  constructor(shape: AttentionShape) {
    this.#shape = shape;
    this.#heads = headsOfItem(shape);
    this.#frame = frameOf(this.#heads, shape.headDim);
    const a = this.#a;
    this.#runs = { float32: a.label(), int16: a.label(), int8: a.label() };
  }

  assemble(): Uint8Array<ArrayBuffer> {
    this.#item();
    for (const element of ROW_ELEMENTS) this.#run(element);
    return this.#a.finish();
  }

  /** Each head's number. */
  get #each(): number[] {
    return range(this.#heads);
  }

  #item(): void {
    const a = this.#a;
    const frame = this.#frame;
    const saved = [R.rbx, R.r12, R.r13, R.r14, R.r15];
    a.emit("push", R.rbp);
    a.emit("mov", R.rbp, R.rsp);
    for (const register of saved) a.emit("push", register);
    a.emit("sub", R.rsp, frame.bytes);
    a.emit("and", R.rsp, -64);
    a.emit("mov", FRAME, R.rsp);

    this.#begin();
    this.#ownRow();
    this.#storedRows();
    this.#end();

    a.emit("vzeroupper");
    a.emit("lea", R.rsp, at(R.rbp, -FIELD * saved.length));
    for (const register of saved.toReversed()) a.emit("pop", register);
    a.emit("pop", R.rbp);
    a.emit("ret");
  }

  /** Finds out whose item it is, and rotates its queries and its key. */
  #begin(): void {
    const a = this.#a;
    const frame = this.#frame;
    const { heads, kvHeads, headDim } = this.#shape;
    const width = headDim * FLOAT;
    const half = width / 2;
    const passes = heads / this.#heads;

    a.emit("mov", at(FRAME, frame.job), R.rdi);
    a.emit("mov", NUMBERS, field(R.rdi, JOB.constants));
    a.emit("mov", R.rax, R.rsi);
    a.emit("mov", R.rdx, 0);
    a.emit("mov", R.rcx, passes);
    a.emit("div", R.rcx);
    a.emit("mov", R.r8, R.rax); // lane
    a.emit("mov", R.r12, R.rdx); // which heads
    a.emit("mov", R.rax, R.rdx);
    a.emit("mov", R.rdx, 0);
    a.emit("mov", R.rcx, passes / kvHeads);
    a.emit("div", R.rcx);
    a.emit("mov", R.r13, R.rax); // KV head

    // The lane, and where its rows lie.
    a.emit("mov", R.r14, field(R.rdi, JOB.laneBytes));
    a.emit("imul", R.r14, R.r8);
    a.emit("add", R.r14, field(R.rdi, JOB.lanes));
    a.emit("mov", at(FRAME, frame.lane), R.r14);
    a.emit("mov", R.rax, field(R.r14, LANE.line));
    a.emit("add", R.rax, R.r13);
    a.emit("mov", at(FRAME, frame.line), R.rax);
    a.emit("mov", R.r14, field(R.r14, LANE.angles));

    // What is attended goes to the lane's heads.
    a.emit("imulBy", R.rax, R.r8, heads * width);
    a.emit("imulBy", R.r12, R.r12, this.#heads * width);
    a.emit("add", R.rax, R.r12);
    a.emit("add", R.rax, field(R.rdi, JOB.attended));
    a.emit("mov", at(FRAME, frame.to), R.rax);

    // Queries at both positions.
    a.emit("imulBy", R.rax, R.r8, (heads + 2 * kvHeads) * width);
    a.emit("add", R.rax, field(R.rdi, JOB.projections));
    a.emit("add", R.r12, R.rax);
    for (const h of this.#each) {
      const x = h * width;
      this.#rotate(R.r12, x, { angles: 0, to: frame.queries + x });
      this.#rotate(R.r12, x, { angles: 2 * half, to: frame.sinkQueries + x });
    }

    // The token's own key and value, which are given back, too.
    a.emit("imulBy", R.r13, R.r13, width);
    a.emit("add", R.rax, R.r13);
    this.#rotate(R.rax, heads * width, { angles: 0, to: frame.key });
    a.emit("lea", R.rsi, at(R.rax, (heads + kvHeads) * width));
    a.emit("imul", R.r8, field(R.rdi, JOB.newRowBytes));
    a.emit("add", R.r8, R.r13);
    for (
      const [from, to] of [[FRAME, JOB.keys], [R.rsi, JOB.values]] as const
    ) {
      a.emit("mov", R.rax, field(R.rdi, to));
      a.emit("add", R.rax, R.r8);
      for (let x = 0; x < width; x += VECTOR) {
        a.emit(
          "vmovups",
          ymm(0),
          at(from, x + (from === FRAME ? frame.key : 0)),
        );
        a.emit("vmovups", at(R.rax, x), ymm(0));
      }
    }

    a.emit("vxorps", ymm(0), ymm(0), ymm(0));
    a.emit("vmovups", ymm(1), number("lowest"));
    for (const h of this.#each) {
      for (let x = 0; x < width; x += VECTOR) {
        a.emit("vmovups", at(FRAME, frame.sums + h * width + x), ymm(0));
      }
      a.emit("vmovups", at(FRAME, frame.weights + h * VECTOR), ymm(0));
      a.emit("vmovups", at(FRAME, frame.most + h * VECTOR), ymm(1));
    }
  }

  /** Pairs (i, i + headDim / 2) of a head, by cosines and sines behind r14. */
  #rotate(
    from: Pointer,
    x: number,
    { angles, to }: { angles: number; to: number },
  ): void {
    const a = this.#a;
    const half = this.#shape.headDim / 2 * FLOAT;
    for (let i = 0; i < half; i += VECTOR) {
      a.emit("vmovups", ymm(0), at(from, x + i));
      a.emit("vmovups", ymm(1), at(from, x + half + i));
      a.emit("vmovups", ymm(2), at(R.r14, angles + i));
      a.emit("vmovups", ymm(3), at(R.r14, angles + half + i));
      a.emit("vmulps", ymm(4), ymm(0), ymm(2));
      a.emit("vmulps", ymm(5), ymm(1), ymm(3));
      a.emit("vsubps", ymm(4), ymm(4), ymm(5));
      a.emit("vmovups", at(FRAME, to + i), ymm(4));
      a.emit("vmulps", ymm(4), ymm(1), ymm(2));
      a.emit("vmulps", ymm(5), ymm(0), ymm(3));
      a.emit("vaddps", ymm(4), ymm(4), ymm(5));
      a.emit("vmovups", at(FRAME, to + half + i), ymm(4));
    }
  }

  /** The token sees itself: a run of one row. */
  #ownRow(): void {
    const a = this.#a;
    a.emit("lea", RUN.keys, at(FRAME, this.#frame.key));
    a.emit("mov", RUN.rows, 1);
    a.emit("lea", RUN.queries, at(FRAME, this.#frame.queries));
    a.branch("call", this.#runs.float32);
  }

  #storedRows(): void {
    const a = this.#a;
    const frame = this.#frame;
    const { headDim } = this.#shape;
    const done = a.label();
    a.emit("mov", R.rax, at(FRAME, frame.lane));
    a.emit("mov", R.r11, field(R.rax, LANE.runs));
    a.emit("mov", at(FRAME, frame.left), R.r11);
    a.emit("lea", R.rax, field(R.rax, LANE.first));
    a.emit("mov", at(FRAME, frame.run), R.rax);
    const more = a.here();
    a.emit("mov", R.r11, at(FRAME, frame.left));
    a.emit("cmp", R.r11, 0);
    a.branch("je", done);
    a.emit("sub", R.r11, 1);
    a.emit("mov", at(FRAME, frame.left), R.r11);
    a.emit("mov", R.r14, at(FRAME, frame.run));
    a.emit("lea", R.rax, at(R.r14, LANE.run.fields * FIELD));
    a.emit("mov", at(FRAME, frame.run), R.rax);

    const part = R.r12;
    const first = R.r13;
    a.emit("mov", R.rax, at(FRAME, frame.job));
    a.emit("mov", part, field(R.r14, LANE.run.part));
    a.emit("imulBy", part, part, PART.fields * FIELD);
    a.emit("add", part, field(R.rax, JOB.parts));
    a.emit("mov", first, field(R.r14, LANE.run.first));
    a.emit("mov", RUN.rows, field(R.r14, LANE.run.rows));
    a.emit("mov", R.rax, field(part, PART.sinks));
    a.emit("imulBy", R.rax, R.rax, frame.sinkQueries - frame.queries);
    a.emit("lea", RUN.queries, at(FRAME, frame.queries, R.rax));

    // This KV head's lines; scales from the first row on (where rows have none, nobody reads them).
    for (
      const [to, start, line] of [
        [RUN.keys, PART.keys, PART.keyLine],
        [RUN.values, PART.values, PART.valueLine],
        [RUN.keyScales, PART.keyScales, PART.keyScaleLine],
        [RUN.valueScales, PART.valueScales, PART.valueScaleLine],
      ] as const
    ) {
      a.emit("mov", to, at(FRAME, frame.line));
      a.emit("imul", to, field(part, line));
      a.emit("add", to, field(part, start));
    }
    for (const scales of [RUN.keyScales, RUN.valueScales]) {
      a.emit("lea", scales, at(scales, 0, first, FLOAT));
    }
    a.emit("mov", R.r11, field(part, PART.element));
    for (const [place, element] of ROW_ELEMENTS.entries()) {
      const other = a.label();
      a.emit("cmp", R.r11, place);
      a.branch("jne", other);
      a.emit("imulBy", R.rax, first, headDim * ROW_TYPE_BYTES[element]);
      a.emit("add", RUN.keys, R.rax);
      a.emit("add", RUN.values, R.rax);
      a.branch("call", this.#runs[element]);
      a.branch("jmp", more);
      a.bind(other);
    }
    a.bind(done);
  }

  /** Divides by the sums of weights. */
  #end(): void {
    const a = this.#a;
    const frame = this.#frame;
    const width = this.#shape.headDim * FLOAT;
    a.emit("mov", R.rax, at(FRAME, frame.to));
    for (const h of this.#each) {
      a.emit("vmovups", ymm(0), at(FRAME, frame.weights + h * VECTOR));
      this.#foldLanes("vaddps", ymm(0), ymm(1));
      a.emit("vmovups", ymm(1), number("one"));
      a.emit("vdivps", ymm(0), ymm(1), ymm(0));
      for (let x = h * width; x < (h + 1) * width; x += VECTOR) {
        a.emit("vmulps", ymm(1), ymm(0), at(FRAME, frame.sums + x));
        a.emit("vmovups", at(R.rax, x), ymm(1));
      }
    }
  }

  /** A run of rows, block by block. */
  #run(element: RowElement): void {
    const a = this.#a;
    a.bind(this.#runs[element]);
    const more = a.here();
    a.emit("mov", RUN.block, BLOCK);
    a.emit("cmp", RUN.rows, RUN.block);
    a.emit("cmovl", RUN.block, RUN.rows);
    this.#scores(element);
    this.#weigh(element);
    this.#mix(element);
    if (element !== "float32") {
      a.emit("add", RUN.keyScales, BLOCK * FLOAT);
      a.emit("add", RUN.valueScales, BLOCK * FLOAT);
    }
    a.emit("sub", RUN.rows, BLOCK);
    a.branch("jg", more);
    a.emit("ret");
  }

  /** Products of queries with some keys at a time; those behind the last row are hidden later. */
  #scores(element: RowElement): void {
    const a = this.#a;
    const { headDim } = this.#shape;
    const row = headDim * ROW_TYPE_BYTES[element];
    const sum = (h: number, k: number) => ymm(h * KEYS + k);
    const query = (h: number) => ymm(MOST_HEADS * KEYS + h);
    const x = ymm(15);
    const to = R.rax;
    const left = R.r11;
    a.emit("lea", to, at(FRAME, this.#frame.scores));
    a.emit("mov", left, RUN.block);
    const more = a.here();
    for (let d = 0; d < headDim; d += LANES) {
      for (const h of this.#each) {
        a.emit("vmovups", query(h), at(RUN.queries, (h * headDim + d) * FLOAT));
      }
      for (const k of range(KEYS)) {
        this.#load(element, x, { row: RUN.keys, bytes: k * row, d });
        for (const h of this.#each) {
          if (d === 0) a.emit("vmulps", sum(h, k), x, query(h));
          else a.emit("vfmadd231ps", sum(h, k), x, query(h));
        }
      }
    }
    for (const h of this.#each) {
      a.emit("vhaddps", sum(h, 0), sum(h, 0), sum(h, 1));
      a.emit("vhaddps", sum(h, 2), sum(h, 2), sum(h, 3));
      a.emit("vhaddps", sum(h, 0), sum(h, 0), sum(h, 2));
      a.emit("vperm2f128", x, sum(h, 0), sum(h, 0), SWAP_HALVES);
      a.emit("vaddps", x, x, sum(h, 0));
      // Its other half is written over by the next keys' scores.
      a.emit("vmovups", at(to, h * SCORES), x);
    }
    a.emit("add", RUN.keys, KEYS * row);
    a.emit("add", to, KEYS * FLOAT);
    a.emit("sub", left, KEYS);
    a.branch("jg", more);
  }

  /** Makes a block's scores into weights relative to the largest score so far. */
  #weigh(element: RowElement): void {
    const a = this.#a;
    const frame = this.#frame;
    const { headDim } = this.#shape;
    const scaled = element !== "float32";
    const score = (h: number) => at(FRAME, frame.scores + h * SCORES, R.rax);
    const most = (h: number) => at(FRAME, frame.most + h * VECTOR);
    const weights = (h: number) => at(FRAME, frame.weights + h * VECTOR);
    const end = R.r11;
    const loop = (body: () => void) => {
      a.emit("mov", R.rax, 0);
      const more = a.here();
      body();
      a.emit("add", R.rax, VECTOR);
      a.emit("cmp", end, R.rax);
      a.branch("jg", more);
    };
    a.emit("lea", end, at(RUN.block, LANES - 1));
    a.emit("and", end, -LANES);
    a.emit("shl", end, 2);
    if (scaled) {
      loop(() => {
        a.emit("vmovups", ymm(0), at(RUN.keyScales, 0, R.rax));
        for (const h of this.#each) {
          a.emit("vmulps", ymm(1), ymm(0), score(h));
          a.emit("vmovups", score(h), ymm(1));
        }
      });
    }
    const hidden = a.label();
    a.emit("mov", R.rax, RUN.block);
    a.emit("shl", R.rax, 2);
    const hide = a.here();
    a.emit("cmp", R.rax, end);
    a.branch("je", hidden);
    for (const h of this.#each) a.emit("movDword", score(h), HIDDEN);
    a.emit("add", R.rax, FLOAT);
    a.branch("jmp", hide);
    a.bind(hidden);

    for (const h of this.#each) a.emit("vmovups", ymm(h), most(h));
    loop(() => {
      for (const h of this.#each) a.emit("vmaxps", ymm(h), ymm(h), score(h));
    });
    const [scale, x, n, r] = [ymm(8), ymm(9), ymm(10), ymm(11)] as const;
    for (const h of this.#each) {
      this.#foldLanes("vmaxps", ymm(h), x);
      a.emit("vmovups", x, most(h));
      a.emit("vmovups", most(h), ymm(h));
      a.emit("vsubps", x, x, ymm(h));
      this.#exponentials(scale, { x, n, r });
      a.emit("vmulps", x, scale, weights(h));
      a.emit("vmovups", weights(h), x);
      for (let d = 0; d < headDim; d += LANES) {
        const sums = at(FRAME, frame.sums + (h * headDim + d) * FLOAT);
        a.emit("vmulps", x, scale, sums);
        a.emit("vmovups", sums, x);
      }
    }
    const sum = (h: number) => ymm(MOST_HEADS + h);
    for (const h of this.#each) a.emit("vmovups", sum(h), weights(h));
    loop(() => {
      for (const h of this.#each) {
        a.emit("vmovups", x, score(h));
        a.emit("vsubps", x, x, ymm(h));
        this.#exponentials(scale, { x, n, r });
        a.emit("vaddps", sum(h), sum(h), scale);
        if (scaled) {
          a.emit("vmulps", scale, scale, at(RUN.valueScales, 0, R.rax));
        }
        a.emit("vmovups", score(h), scale);
      }
    });
    for (const h of this.#each) a.emit("vmovups", weights(h), sum(h));
  }

  /**
   * exp x = 2ⁿ · exp r with n the integer next to x / ln 2: Taylor's polynomial of degree 6 is off by 1.2e-7 of
   * exp r at most, for r is within ln 2 / 2. x / ln 2 + 1.5 · 2²³ has n in its lowest bits, which are added to the
   * exponent. What would be a denormal is 0.
   */
  #exponentials(
    to: Vector,
    { x, n, r }: { x: Vector; n: Vector; r: Vector },
  ): void {
    const a = this.#a;
    a.emit("vmovups", n, number("magic"));
    a.emit("vfmadd231ps", n, x, number("octave"));
    a.emit("vsubps", to, n, number("magic"));
    a.emit("vmovups", r, x);
    a.emit("vfnmadd231ps", r, to, number("high"));
    a.emit("vfnmadd231ps", r, to, number("low"));
    a.emit("vmovups", to, number("c6"));
    for (const c of ["c5", "c4", "c3", "c2", "one", "one"] as const) {
      a.emit("vfmadd213ps", to, r, number(c));
    }
    a.emit("vpslld", n, n, EXPONENT_BIT);
    a.emit("vpaddd", to, to, n);
    a.emit("vcmpps", n, x, number("least"), GREATER);
    a.emit("vandps", to, to, n);
  }

  /** Adds a block's values by their weights: tile by tile, so that its rows stay close while columns are added up. */
  #mix(element: RowElement): void {
    const a = this.#a;
    const { headDim } = this.#shape;
    const row = headDim * ROW_TYPE_BYTES[element];
    const vectors = headDim % (4 * LANES) === 0 ? 4 : 2;
    const sum = (h: number, v: number) => ymm(h * vectors + v);
    const weight = (h: number) => ymm(MOST_HEADS * 4 + h);
    const x = ymm(15);
    const [tile, left] = [R.rax, R.r11];
    const [value, score, rows] = [R.r12, R.r13, R.r14];
    a.emit("lea", tile, at(FRAME, this.#frame.scores));
    a.emit("mov", left, RUN.block);
    const tiles = a.here();
    for (let first = 0; first < headDim; first += vectors * LANES) {
      const each = (use: (vector: Vector, sums: Memory) => void) => {
        for (const h of this.#each) {
          for (const v of range(vectors)) {
            const bytes = (h * headDim + first + v * LANES) * FLOAT;
            use(sum(h, v), at(FRAME, this.#frame.sums + bytes));
          }
        }
      };
      a.emit("mov", value, RUN.values);
      a.emit("mov", score, tile);
      a.emit("mov", rows, TILE);
      a.emit("cmp", left, rows);
      a.emit("cmovl", rows, left);
      each((vector, sums) => a.emit("vmovups", vector, sums));
      const more = a.here();
      for (const h of this.#each) {
        a.emit("vbroadcastss", weight(h), at(score, h * SCORES));
      }
      for (const v of range(vectors)) {
        this.#load(element, x, { row: value, bytes: 0, d: first + v * LANES });
        for (const h of this.#each) {
          a.emit("vfmadd231ps", sum(h, v), x, weight(h));
        }
      }
      a.emit("add", value, row);
      a.emit("add", score, FLOAT);
      a.emit("sub", rows, 1);
      a.branch("jg", more);
      each((vector, sums) => a.emit("vmovups", sums, vector));
    }
    a.emit("add", RUN.values, TILE * row);
    a.emit("add", tile, TILE * FLOAT);
    a.emit("sub", left, TILE);
    a.branch("jg", tiles);
  }

  /** Loads 8 of a row's elements as f32, from the one with number `d`. */
  #load(
    element: RowElement,
    to: Vector,
    { row, bytes, d }: { row: Pointer; bytes: number; d: number },
  ): void {
    const a = this.#a;
    const from = at(row, bytes + d * ROW_TYPE_BYTES[element]);
    if (element === "float32") return a.emit("vmovups", to, from);
    a.emit(element === "int16" ? "vpmovsxwd" : "vpmovsxbd", to, from);
    a.emit("vcvtdq2ps", to, to);
  }

  /** Makes all lanes of `x` what the operation makes of them together. */
  #foldLanes(operation: "vaddps" | "vmaxps", x: Vector, spare: Vector): void {
    const a = this.#a;
    a.emit("vperm2f128", spare, x, x, SWAP_HALVES);
    a.emit(operation, x, x, spare);
    for (const order of [SWAP_PAIRS, SWAP_NEIGHBOURS]) {
      a.emit("vpermilps", spare, x, order);
      a.emit(operation, x, x, spare);
    }
  }
}

/** Where things lie in an item's frame, in bytes. */
interface Frame {
  readonly job: number;
  readonly lane: number;
  /** Number of this KV head's line of rows. */
  readonly line: number;
  /** Where what is attended goes. */
  readonly to: number;
  /** Runs that are left, and the next one. */
  readonly left: number;
  readonly run: number;
  /** The token's rotated key; keys behind it are read, too, whatever lies there. */
  readonly key: number;
  /** Rotated for the token's position, and for that at which it asks the sinks. */
  readonly queries: number;
  readonly sinkQueries: number;
  /** Of values, by weight, of each head. */
  readonly sums: number;
  /** The largest score, in all lanes of a vector, of each head. */
  readonly most: number;
  /** Of weights, lane by lane, of each head. */
  readonly weights: number;
  /** A block's scores of each head, then its weights. */
  readonly scores: number;
  readonly bytes: number;
}

function frameOf(heads: number, headDim: number): Frame {
  let bytes = 0;
  const claim = (size: number) => {
    const place = bytes;
    bytes += Math.ceil(size / VECTOR) * VECTOR;
    return place;
  };
  const width = headDim * FLOAT;
  return {
    job: claim(FIELD),
    lane: claim(FIELD),
    line: claim(FIELD),
    to: claim(FIELD),
    left: claim(FIELD),
    run: claim(FIELD),
    key: claim(width),
    queries: claim(heads * width),
    sinkQueries: claim(heads * width),
    sums: claim(heads * width),
    most: claim(heads * VECTOR),
    weights: claim(heads * VECTOR),
    scores: claim(heads * SCORES),
    bytes: claim(KEYS * width),
  };
}

/** A field of a struct. */
function field(base: Pointer, place: number): Memory {
  return at(base, place * FIELD);
}

/** A constant, in all lanes. */
function number(name: keyof typeof CONSTANTS): Memory {
  return at(NUMBERS, Object.keys(CONSTANTS).indexOf(name) * VECTOR);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
