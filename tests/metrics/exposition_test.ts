import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Counter } from "../../lib/metrics/counter.ts";
import { exposition, type Family } from "../../lib/metrics/exposition.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { Metric } from "../../lib/metrics/metric.ts";
import { parseExposition, valueOf } from "./parse_exposition.ts";

Deno.test("the text is Prometheus' format to the byte", () => {
  const seats: Family = {
    name: "seats",
    help: 'Seats \\ left,\nof "all".',
    type: "gauge",
    samples: [
      { suffix: "", labels: {}, value: 0.5 },
      { suffix: "", labels: { room: 'a"\\\n', floor: "" }, value: -Infinity },
      { suffix: "", labels: { room: "{b=}," }, value: 1e21 },
    ],
  };
  const empty: Family = {
    name: "none_total",
    help: "None.",
    type: "counter",
    samples: [],
  };
  assertEquals(
    exposition([seats, empty]),
    [
      String.raw`# HELP seats Seats \\ left,\nof "all".`,
      "# TYPE seats gauge",
      "seats 0.5",
      String.raw`seats{room="a\"\\\n",floor=""} -Inf`,
      'seats{room="{b=},"} 1e+21',
      "# HELP none_total None.",
      "# TYPE none_total counter",
      "",
    ].join("\n"),
  );
});

const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({
    unit: fc.constantFrom("\\", '"', "\n", "n", ",", "}", "=", "é"),
  }),
);

Deno.test("whatever a label or a help says is read back", () => {
  fc.assert(fc.property(
    fc.dictionary(fc.stringMatching(/^[a-z_]{1,4}$/), text, {
      noNullPrototype: true,
    }),
    text,
    fc.double({ noNaN: true }),
    (labels, help, value) => {
      const samples = [{ suffix: "" as const, labels, value }];
      const written = exposition([{ name: "m", help, type: "gauge", samples }]);
      assertEquals(parseExposition(written).get("m"), {
        help,
        type: "gauge",
        samples: [{ name: "m", labels, value: value + 0 }],
      });
    },
  ));
});

Deno.test("a metric keeps its series apart by their labels, in any order", () => {
  const head = { name: "m_total", help: "M.", type: "counter" as const };
  const metric = new Metric(head, () => new Counter());
  metric.at({ a: "1", b: "2" }).add();
  metric.at({ b: "2", a: "1" }).add(2);
  metric.at({ a: "2", b: "1" });
  const parsed = parseExposition(exposition([metric.family]));
  assertEquals(valueOf(parsed, "m_total", { a: "1" }), 3);
  assertEquals(valueOf(parsed, "m_total", { a: "2" }), 0);
});

Deno.test("a counter does not count down", () => {
  const counter = new Counter();
  for (const amount of [-1, NaN]) {
    assertThrows(() => counter.add(amount), RangeError, `${amount}`);
  }
});

Deno.test("a histogram counts each value up to the bounds that are not below it", () => {
  const bounds = [0.1, 1, 10];
  fc.assert(fc.property(
    fc.array(fc.tuple(
      fc.constantFrom(0, 0.1, 0.5, 1, 1.5, 10, 11),
      fc.integer({ min: 1, max: 3 }),
    )),
    (observations) => {
      const head = { name: "h", help: "H.", type: "histogram" as const };
      const metric = new Metric(head, () => new Histogram(bounds));
      for (const [value, times] of observations) {
        metric.at({}).observe(value, times);
      }
      const parsed = parseExposition(exposition([metric.family]));
      if (observations.length === 0) return;
      const values = observations.flatMap(([value, times]) =>
        Array<number>(times).fill(value)
      );
      for (const bound of bounds) {
        assertEquals(
          valueOf(parsed, "h_bucket", { le: `${bound}` }),
          values.filter((value) => value <= bound).length,
        );
      }
      assertEquals(valueOf(parsed, "h_count"), values.length);
      const sum = values.reduce((a, b) => a + b, 0);
      assertEquals(Math.abs(valueOf(parsed, "h_sum")! - sum) < 1e-9, true);
    },
  ));
});
