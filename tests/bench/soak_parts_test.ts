/** What of a soak needs no server. */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { autocannonCommand, parseLoadOptions } from "../../bench/load.ts";
import { startCommand } from "../../bench/server.ts";
import { checkSoak, type SoakResult } from "../../bench/soak/checks.ts";
import { eventData } from "../../bench/soak/event_data.ts";
import {
  parseMetrics,
  serverState,
  slotBytes,
} from "../../bench/soak/metrics_text.ts";
import { parseSoakOptions, USAGE } from "../../bench/soak/options.ts";
import { TallyCounter } from "../../bench/soak/outcome.ts";
import { Persona } from "../../bench/soak/persona.ts";
import { renderSoak } from "../../bench/soak/report.ts";
import { residentBytes, type SoakSample } from "../../bench/soak/watch.ts";

function bytesOf(
  text: string,
  size: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const bytes = new TextEncoder().encode(text);
  return ReadableStream.from((function* () {
    for (let at = 0; at < bytes.length; at += size) {
      yield bytes.slice(at, at + size);
    }
  })());
}

Deno.test("events are the same however their bytes are cut", async () => {
  const text =
    ': ping\n\ndata: {"a":"é"}\n\nevent: x\r\ndata:no space\r\n\r\n' +
    "data: two\ndata:  lines\n\nretry: 5\n\ndata: cut off";
  for (const size of [1, 2, 3, 7, 1000]) {
    const events = await Array.fromAsync(eventData(bytesOf(text, size)));
    assertEquals(events, ['{"a":"é"}', "no space", "two\n lines"]);
  }
});

Deno.test("who stops reading events cancels the stream", async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) =>
      controller.enqueue(new TextEncoder().encode("data: x\n\n")),
    cancel: () => void (cancelled = true),
  });
  for await (const data of eventData(body)) {
    assertEquals(data, "x");
    break;
  }
  assert(cancelled);
});

const PAGE = `# HELP everstream:num_requests_running Running.
# TYPE everstream:num_requests_running gauge
everstream:num_requests_running{model_name="a \\"b\\", {c}"} 3
everstream:num_requests_waiting 2 1700000000000
everstream:cache_bytes{state="active"} 1e3
everstream:cache_bytes{state="idle"} 200
everstream:cache_bytes{state="free"} 30
everstream:cache_bytes{state="swapped"} 4
latency_bucket{le="+Inf"} +Inf
`;

Deno.test("metrics are read with their labels, and the server's state from them", () => {
  const samples = parseMetrics(PAGE);
  assertEquals(samples.length, 7);
  assertEquals(samples[0]!.labels, { model_name: 'a "b", {c}' });
  assertEquals(samples[6], {
    name: "latency_bucket",
    labels: { le: "+Inf" },
    value: Infinity,
  });
  const state = serverState(samples);
  assertEquals([state.running, state.waiting], [3, 2]);
  assertEquals(state.cacheBytes.swapped, 4);
  assertEquals(slotBytes(state), 1230);
});

Deno.test("a metric that is missing or no metric is an error that names it", () => {
  const without = (part: string) =>
    parseMetrics(PAGE.split("\n").filter((l) => !l.includes(part)).join("\n"));
  assertThrows(() => serverState(without("waiting")), TypeError, "waiting");
  assertThrows(() => serverState(without("free")), TypeError, 'state="free"');
  assertThrows(() => parseMetrics("<html>"), SyntaxError, "<html>");
  assertThrows(() => parseMetrics("a -"), SyntaxError, "a -");
});

Deno.test("a process's memory is what the kernel says", () => {
  assertEquals(
    residentBytes("VmHWM:\t 9 kB\nVmRSS:\t  2048 kB\n"),
    2048 * 1024,
  );
  assertThrows(() => residentBytes("State:\tZ (zombie)\n"), SyntaxError);
});

Deno.test("a client says the same again for the same seed, and no two say the same", () => {
  const asks = (index: number, seed: number) => {
    const persona = new Persona(index, { seed, hangup: 0.33 });
    return Array.from({ length: 20 }, () => {
      const ask = persona.ask();
      persona.take("yes");
      return ask;
    });
  };
  assertEquals(asks(1, 5), asks(1, 5));
  assertNotEquals(asks(1, 5), asks(2, 5));
  assertNotEquals(asks(1, 5), asks(1, 6));
});

Deno.test("a chat alternates, goes on for some turns and then begins anew", () => {
  const persona = new Persona(0, { seed: 1, hangup: 0 });
  const systems = new Set<string>();
  const lengths: number[] = [];
  for (let turn = 0; turn < 300; turn++) {
    const { messages, maxTokens } = persona.ask();
    assert(maxTokens >= 16 && maxTokens <= 64);
    assert(messages.every(({ content }) => content !== ""));
    const chat = messages.filter(({ role }) => role !== "system");
    for (const [i, { role }] of chat.entries()) {
      assertEquals(role, i % 2 === 0 ? "user" : "assistant");
    }
    lengths.push(chat.length);
    systems.add(messages[0]!.role === "system" ? messages[0]!.content : "");
    // Now and then nothing came: the question is taken back.
    persona.take(turn % 7 === 0 ? "" : "an answer");
  }
  assertEquals(Math.min(...lengths), 1);
  assert(Math.max(...lengths) > 5 && Math.max(...lengths) <= 11);
  assertEquals(systems.size, 2); // one that is shared, and none
});

Deno.test("clients leave as often as they are told to, early, late or while they wait", () => {
  const leaves = (hangup: number) => {
    const persona = new Persona(1, { seed: 1, hangup });
    const all = Array.from({ length: 1000 }, () => persona.ask().hangUp);
    return all.filter((hangUp) => hangUp !== null);
  };
  assertEquals([leaves(0).length, leaves(1).length], [0, 1000]);
  const third = leaves(1 / 3);
  assert(third.length > 270 && third.length < 400, `${third.length}`);
  const parts = third.filter((leave) => "parts" in leave).length;
  assert(parts > third.length / 3 && parts < third.length * 2 / 3);
});

Deno.test("some clients have keys of their own", () => {
  const keys = [0, 1, 2, 3].map((index) =>
    new Persona(index, { seed: 1, hangup: 0 }).apiKey
  );
  assertEquals(keys, ["key-0", null, null, "key-3"]);
});

function sampleAt(i: number, changes: Partial<SoakSample> = {}): SoakSample {
  return {
    seconds: i * 5,
    rss: 400e6,
    running: 8,
    waiting: 3,
    cacheBytes: { active: 80 - i, idle: 10 + i, free: 10, swapped: i },
    healthMs: 2,
    ...changes,
  };
}

/** A soak as it should be. */
function goodSoak() {
  const tally = new TallyCounter();
  const exchange = { text: "", parts: 1, firstPartMs: 5 };
  tally.add({ ...exchange, outcome: { kind: "finished" } });
  tally.add({ ...exchange, outcome: { kind: "unavailable", retryAfter: 1 } });
  tally.add({
    ...exchange,
    outcome: { kind: "stream error", code: "queue_timeout" },
  });
  const samples = Array.from({ length: 20 }, (_, i) => sampleAt(i));
  const cacheBytes = { active: 0, idle: 90, free: 10, swapped: 5 };
  const last: SoakSample | null = sampleAt(21, {
    running: 0,
    waiting: 0,
    cacheBytes,
  });
  return { tally, samples, last: last as SoakSample | null };
}

/** What of a soak's checks failed. */
function failures(result: SoakResult): string[] {
  const checks = checkSoak(result);
  assertEquals(checks.length, 6);
  const text = renderSoak(result, checks);
  for (const { what, found } of checks) {
    assert(text.includes(what) && text.includes(found));
  }
  return checks.filter(({ ok }) => !ok).map(({ what }) => what.slice(0, 8));
}

Deno.test("a soak in which nothing leaks or breaks passes", () => {
  assertEquals(failures(goodSoak()), []);
});

Deno.test("each thing that a soak must show fails it alone", () => {
  const cases: [string, (soak: ReturnType<typeof goodSoak>) => void][] = [
    ["answers ", ({ tally }) => tally.finished = 0],
    ["each res", ({ tally }) => tally.problem("status 500")],
    [
      "errors i",
      ({ tally }) => tally.streamErrors.set("internal_error", 1),
    ],
    ["at the e", (soak) => soak.last = null],
    ["at the e", (soak) => soak.last = { ...soak.last!, running: 1 }],
    ["at the e", (soak) => soak.last = { ...soak.last!, waiting: 1 }],
    [
      "at the e",
      (soak) => {
        const cacheBytes = { active: 10, idle: 80, free: 10 };
        soak.last = { ...soak.last!, cacheBytes };
      },
    ],
    [
      "the slot",
      ({ samples }) => {
        const cacheBytes = { active: 80, idle: 10, free: 9, swapped: 1 };
        samples[7] = sampleAt(7, { cacheBytes });
      },
    ],
    [
      "RSS is f",
      ({ samples }) => {
        for (let i = 16; i < 20; i++) samples[i] = sampleAt(i, { rss: 441e6 });
      },
    ],
    ["RSS is f", (soak) => soak.samples = soak.samples.slice(0, 4)],
  ];
  for (const [expected, spoil] of cases) {
    const soak = goodSoak();
    spoil(soak);
    assertEquals(failures(soak), [expected]);
  }
});

Deno.test("memory may grow at first, and by a tenth", () => {
  const soak = goodSoak();
  soak.samples = soak.samples.map((sample, i) => ({
    ...sample,
    rss: i <= 4 ? 100e6 : i < 16 ? 400e6 : 440e6,
  }));
  assertEquals(failures(soak), []);
});

Deno.test("a soak's options are read, and wrong ones named", () => {
  assertEquals(parseSoakOptions([]), {
    help: false,
    minutes: 10,
    clients: 64,
    hangup: 0.33,
    every: 5,
    seed: 1,
  });
  const line =
    "--minutes 0.5 --clients 8 --hangup .25 --memory 1000000 --every 2 --seed 7 --json a";
  const options = parseSoakOptions(line.split(" "));
  assertEquals(options, {
    help: false,
    minutes: 0.5,
    clients: 8,
    hangup: 0.25,
    memory: "1000000",
    every: 2,
    seed: 7,
    json: "a",
  });
  for (const name of Object.keys(options)) {
    assert(USAGE.includes(`--${name}`), name);
  }
  const cases: [string, string][] = [
    ["--minutes 0", '--minutes "0": give a number over 0'],
    ["--minutes -1", "--minutes"],
    ["--hangup 1.5", '--hangup "1.5": give a number from 0 to 1'],
    ["--clients 0", "--clients"],
    ["--fast", "--fast"],
  ];
  for (const [line, message] of cases) {
    assertThrows(() => parseSoakOptions(line.split(" ")), Error, message);
  }
});

Deno.test("the load's options become autocannon's", () => {
  assertEquals(parseLoadOptions([]), {
    help: false,
    connections: [8, 16],
    seconds: 20,
  });
  const { url, ...options } = parseLoadOptions(
    "--url http://127.0.0.1:8000/v1 --connections 2 --seconds 3".split(" "),
  );
  assertEquals(options, { help: false, connections: [2], seconds: 3 });
  const command = autocannonCommand(url!, { connections: 2, seconds: 3 });
  assertEquals(command.at(-1), "http://127.0.0.1:8000/v1/chat/completions");
  const body = command.find((part) => part.startsWith("--body="))!.slice(7);
  assertEquals(JSON.parse(body).max_tokens, 16);
  assert(command.includes("--connections=2"));
  assert(command.includes("--duration=3"));
  assertThrows(() => parseLoadOptions(["--url", "nowhere"]), TypeError);
  assertThrows(() => parseLoadOptions(["--connections", "0"]), RangeError);
});

Deno.test("the server is started as `deno task start` does, without a shell", async () => {
  const file = new URL("../../deno.json", import.meta.url);
  const [program, command, ...args] = startCommand(
    await Deno.readTextFile(file),
  );
  assertEquals([program, command], ["deno", "run"]);
  assertEquals(args.at(-1), "lib/start.ts");
  const shell = '{ "tasks": { "start": { "command": "A=$B deno run a.ts" } } }';
  assertThrows(() => startCommand(shell), TypeError, "A=$B");
});
