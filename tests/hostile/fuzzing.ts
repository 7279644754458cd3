/**
 * Asks a scripted server whatever comes to mind, and checks each answer, and after each round what is
 * left of it all.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { errorSchema } from "../../lib/openai/errors.ts";
import { parseExposition, valueOf } from "../metrics/parse_exposition.ts";
import { type HostileApp, hostileApp, KEYS } from "./hostile_app.ts";
import { type WildRequest, wildRequest } from "./wild_request.ts";
import { ID } from "./wild_value.ts";
import { ask, type WireAnswer, type WireRequest, written } from "./wire.ts";

/** How long it goes on: at least a round, and as many as there is time for. */
export interface FuzzOptions {
  readonly seed: number;
  /** Milliseconds since 1970. */
  readonly until: number;
  /** Batches of requests in a round. Default: 1,000. */
  readonly batches?: number;
  readonly log?: (line: string) => void;
}

/** Most bytes by which the process may grow, once it has seen some rounds. */
const GROWTH = 64 * 2 ** 20;

/** Milliseconds after which the smallest requests that were found are small enough. */
const SHRINKING = 60_000;

/** Ids of objects that last. */
const LASTING = /\b(?:resp|conv|msg|fco?)_[0-9a-f]{32}\b/g;

/** What only the program's insides look like: frames of stacks, and paths of its files. */
const INSIDES = /\n\s+at |\bat async |file:\/\/|node_modules|\.ts:\d|\/tmp\//;

/** @throws {Error} that has the smallest requests that it takes, if something is not as it should be */
export async function fuzz(
  { seed, until, batches = 1_000, log = () => {} }: FuzzOptions,
): Promise<{ requests: number }> {
  await using hostile = await hostileApp();
  const rejections: unknown[] = [];
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    rejections.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", onRejection);
  const fuzzer = new Fuzzer(hostile, rejections);
  const sizes: number[] = [];
  try {
    do {
      await fuzzer.run(seed + sizes.length, batches);
      await fuzzer.cleanUp();
      // What can be freed is no leak (there is `gc` with a flag that the task sets).
      Reflect.get(globalThis, "gc")?.();
      sizes.push(Deno.memoryUsage().rss);
      log(
        `${fuzzer.requests} requests, ${mebibytes(sizes.at(-1)!)} MiB; ` +
          `by status ${JSON.stringify(fuzzer.statuses)}`,
      );
    } while (Date.now() < until);
  } finally {
    globalThis.removeEventListener("unhandledrejection", onRejection);
  }
  requireBounded(sizes);
  return { requests: fuzzer.requests };
}

/** @param sizes of the process, after each round */
function requireBounded(sizes: readonly number[]): void {
  const third = Math.floor(sizes.length / 3);
  if (third < 3) return;
  const before = Math.max(...sizes.slice(third, 2 * third));
  const after = Math.min(...sizes.slice(-third));
  assert(
    after - before < GROWTH,
    `grew from ${mebibytes(before)} to ${mebibytes(after)} MiB`,
  );
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

/** Sends, and checks what comes back, round after round. */
class Fuzzer {
  requests = 0;
  readonly statuses: Record<string, number> = {};
  readonly #hostile: HostileApp;
  readonly #rejections: readonly unknown[];
  readonly #batch: fc.Arbitrary<WildRequest[]>;
  /** Of objects that were made, the latest last. */
  readonly #ids = new Set<string>();

  constructor(hostile: HostileApp, rejections: readonly unknown[]) {
    this.#hostile = hostile;
    this.#rejections = rejections;
    this.#batch = fc.array(wildRequest(hostile.description), {
      minLength: 1,
      maxLength: 4,
    });
  }

  /** Sends so many batches, and the smallest one that fails as often as it takes to find it. */
  async run(seed: number, batches: number): Promise<void> {
    let failed = "";
    const property = fc.asyncProperty(this.#batch, async (batch) => {
      const requests = batch.map((one) => this.#complete(one));
      try {
        await this.#send(requests);
      } catch (error) {
        failed = requests.map((one) => JSON.stringify(written(one))).join("\n");
        throw error;
      }
    });
    const result = await fc.check(property, {
      seed,
      numRuns: batches,
      interruptAfterTimeLimit: SHRINKING,
    });
    if (!result.failed) return;
    throw new Error(
      `--seed ${seed} fails after ${result.numRuns} batches and ${result.numShrinks} shrinks: ` +
        `${result.errorInstance}\nThe requests, a byte a character:\n${failed}`,
    );
  }

  /** Sends requests at the same time, and waits until nothing more comes of them. */
  async #send(requests: readonly WireRequest[]): Promise<void> {
    const { app, drain } = this.#hostile;
    await Promise.all(requests.map((request) => this.#ask(request)));
    if (!await drain.idle(2_000)) {
      // What is tried next must not meet it.
      this.#hostile.release();
      await drain.idle(2_000);
      app.reported.length = 0;
      throw new Error("answers go on that nobody reads");
    }
    assertEquals([...app.reported.splice(0), ...this.#rejections], []);
  }

  /** Deletes what was made, and checks that nothing else is left. */
  async cleanUp(): Promise<void> {
    const { app } = this.#hostile;
    for (const key of Object.values(KEYS)) {
      for (const id of this.#ids) {
        const authorization = `Bearer ${key}`;
        if (!/^(resp|conv)_/.test(id)) continue; // goes with those
        const path = id.startsWith("resp") ? "responses" : "conversations";
        const at = `/v1/${path}/${id}`;
        const read = await app.send("GET", at, undefined, { authorization });
        const { status } = await read.json();
        assert(status !== "in_progress", `${id} goes on`);
        const gone = await app.send("DELETE", at, undefined, { authorization });
        await gone.body?.cancel();
      }
    }
    this.#ids.clear();
    this.#hostile.forget();
    const health = await app.send("GET", "/health");
    assertEquals(await health.json(), { status: "ok", model: "scripted" });
    const metrics = await app.send("GET", "/metrics");
    const parsed = parseExposition(await metrics.text());
    const labels = { model_name: "scripted" };
    for (const what of ["running", "waiting"]) {
      const name = `everstream:num_requests_${what}`;
      assertEquals(valueOf(parsed, name, labels), 0, name);
    }
    const active = { ...labels, state: "active" };
    assertEquals(valueOf(parsed, "everstream:cache_bytes", active), 0);
    assertEquals(app.reported, []);
  }

  /** Puts ids of objects that there are where ids go. */
  #complete(request: WildRequest): WireRequest {
    const { ids } = request;
    const known = [...this.#ids].slice(-10).reverse();
    let next = 0;
    const withIds = (text: string) =>
      text.replaceAll(
        ID,
        () => known[ids[next++ % ids.length]! % known.length] ?? "none",
      );
    return {
      ...request,
      target: withIds(request.target),
      body: request.body && encoded(withIds(decoded(request.body))),
    };
  }

  async #ask(request: WireRequest): Promise<void> {
    const { port } = new URL(this.#hostile.app.base);
    const answer = await ask(Number(port), request);
    this.requests++;
    const status = answer?.status ?? "none";
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    if (!answer) return;
    try {
      check(answer, request);
    } catch (error) {
      throw new Error(
        `${(error as Error).message}: ${answer.status} ${
          answer.text.slice(0, 500)
        }`,
      );
    }
    for (const [id] of answer.text.matchAll(LASTING)) this.#ids.add(id);
  }
}

function check(
  { status, headers, text }: WireAnswer,
  { method }: WireRequest,
): void {
  // What is no HTTP, Deno refuses itself.
  if (status === 400 && text === "" && !headers.has("x-request-id")) return;
  assert(headers.has("x-request-id"), "no request id");
  assert(!INSIDES.test(text), "tells of its insides");
  const served = status < 500 || status === 503 || status === 504;
  assert(served, "failed");
  if (status >= 400 && method !== "HEAD") {
    assertEquals(headers.get("content-type"), "application/json");
    errorSchema.parse(JSON.parse(text));
  }
  if (headers.get("content-type")?.startsWith("text/event-stream")) {
    assert(text === "" || text.endsWith("\n\n"), "half a frame");
    assert(!text.includes('"internal_error"'), "failed in a stream");
  }
}

function decoded(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function encoded(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (unit) => unit.charCodeAt(0));
}
