/** Deno's OpenTelemetry, as a collector receives it from a server. */
import { assert, assertEquals } from "@std/assert";
import { eventually, hello, post } from "../routes/harness.ts";
import { serveScripted } from "../ending/serve_scripted.ts";

Deno.test.sanitizer({ ops: true, resources: true });

interface Span {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: { code?: number };
  attributes: { key: string; value: Record<string, unknown> }[];
}

interface Traces {
  resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
}

/** Spans that a server sends while it answers these requests and ends. */
async function spansOf(script: object, requests: object[]): Promise<Span[]> {
  const spans: Span[] = [];
  await using collector = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const body = await request.json();
      if (new URL(request.url).pathname === "/v1/traces") {
        const { resourceSpans } = body as Traces;
        spans.push(
          ...resourceSpans.flatMap(({ scopeSpans }) =>
            scopeSpans.flatMap((scope) => scope.spans)
          ),
        );
      }
      return Response.json({});
    },
  );
  const server = await serveScripted({
    tracing: true,
    script,
    env: {
      OTEL_DENO: "true",
      OTEL_DENO_CONSOLE: "ignore",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
      OTEL_BSP_SCHEDULE_DELAY: "50",
    },
  });
  for (const body of requests) {
    await (await fetch(`${server.base}/v1/chat/completions`, post(body)))
      .text();
  }
  await eventually(() => spans.length >= 4 * requests.length, 10_000);
  server.process.kill("SIGTERM");
  assertEquals((await server.ended).code, 0);
  return spans;
}

function milliseconds({ startTimeUnixNano, endTimeUnixNano }: Span): number {
  return Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano)) / 1e6;
}

function attributes({ attributes }: Span): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, Object.values(value)[0]]),
  );
}

Deno.test({
  name:
    "tracing: a request's span has those of queue, prefill and decode under it",
  ignore: Deno.build.os === "windows",
  async fn() {
    const script = { queueDelay: 60, firstDelay: 90, delay: 60 };
    const spans = await spansOf(script, [hello({ stream: true })]);
    const named = (name: string) => spans.find((span) => span.name === name)!;
    const request = named("POST /v1/chat/completions");
    assertEquals(attributes(request)["http.route"], "/v1/chat/completions");
    const phases = ["queue", "prefill", "decode"].map(named);
    for (const phase of phases) {
      assertEquals([phase.traceId, phase.parentSpanId], [
        request.traceId,
        request.spanId,
      ]);
      assertEquals(
        attributes(phase)["gen_ai.response.model"],
        "scripted/model-1",
      );
    }
    const [queue, prefill, decode] = phases.map(milliseconds);
    assert(
      queue! >= 50 && prefill! >= 80 && decode! >= 100,
      `${[queue, prefill, decode]}`,
    );
    assert(
      BigInt(phases[0]!.endTimeUnixNano) <=
        BigInt(phases[1]!.startTimeUnixNano),
    );
    assertEquals(attributes(phases[1]!)["gen_ai.usage.input_tokens"], 3);
    assertEquals(attributes(phases[2]!)["gen_ai.usage.output_tokens"], 3);
    assert(!JSON.stringify(spans).includes("world"));
  },
});

Deno.test({
  name: "tracing: the phase in which an answer failed says so",
  ignore: Deno.build.os === "windows",
  async fn() {
    const spans = await spansOf({ failAt: 1 }, [hello({ stream: true })]);
    const decode = spans.find(({ name }) => name === "decode")!;
    assertEquals(decode.status.code, 2);
    assertEquals(attributes(decode)["error.type"], "internal_error");
  },
});
