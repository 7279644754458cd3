import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  hubSource,
  type HubSourceOptions,
} from "../../lib/models/hub_source.ts";
import {
  assertHolds,
  content,
  fakeHub,
  type FakeHubOptions,
  model,
  sha256,
  temporaryDirectory,
} from "./_fixtures.ts";

const DIRECT = `bytes=0-${content.length - 1}`;

async function withHub(
  hubOptions: FakeHubOptions,
  test: (parts: {
    hub: ReturnType<typeof fakeHub>;
    part: string;
    source: (options?: HubSourceOptions) => ReturnType<typeof hubSource>;
  }) => Promise<void>,
) {
  await using hub = fakeHub(hubOptions);
  await using directory = await temporaryDirectory();
  const source = (options = {}) => hubSource({ hubUrl: hub.url, ...options });
  await test({ hub, part: directory.file("x.part"), source });
}

Deno.test("the hub gives the file, its hash and its progress", () =>
  withHub({ file: content }, async ({ hub, part, source }) => {
    const received: number[] = [];
    const fetched = await source().fetch(model, part, {
      onProgress: (p) => received.push(p.received),
    });
    await assertHolds(part, content);
    assertEquals(fetched, { sha256: sha256(content) });
    assertStrictEquals(received[0], 0);
    assertStrictEquals(received.at(-1), content.length);
    assertStrictEquals(
      hub.seen[0]?.path,
      "/ada/tiny/resolve/abc/sub/Tiny%20%231.gguf",
    );
  }));

Deno.test("a part file is continued with a range request", () =>
  withHub({ file: content }, async ({ hub, part, source }) => {
    await Deno.writeFile(part, content.subarray(0, 100_000));
    await source().fetch(model, part);
    await assertHolds(part, content);
    assertEquals(hub.seen.map(({ range }) => range), [
      "bytes=0-0",
      `bytes=100000-${content.length - 1}`,
    ]);
  }));

Deno.test("a cut download goes on where it ended", () =>
  withHub({ file: content, cuts: [70_000] }, async ({ hub, part, source }) => {
    await source().fetch(model, part);
    await assertHolds(part, content);
    assertStrictEquals(
      hub.seen.at(-1)?.range,
      `bytes=70000-${content.length - 1}`,
    );
  }));

Deno.test("a download that brings nothing is given up, its part kept", () =>
  withHub({ file: content, cuts: [70_000, 0] }, async ({ part, source }) => {
    await assertRejects(() => source().fetch(model, part), Error);
    await assertHolds(part, content.subarray(0, 70_000));
  }));

Deno.test("a complete part is not fetched again", () =>
  withHub({ file: content }, async ({ hub, part, source }) => {
    await Deno.writeFile(part, content);
    await source().fetch(model, part);
    assertStrictEquals(hub.seen.length, 1);
  }));

Deno.test("a part larger than the file is replaced", () =>
  withHub({ file: content }, async ({ hub, part, source }) => {
    await Deno.writeFile(part, new Uint8Array(content.length + 1));
    await source().fetch(model, part);
    await assertHolds(part, content);
    assert([null, DIRECT].includes(hub.seen[1]?.range ?? null));
  }));

Deno.test("a server without ranges does not spoil the part", () =>
  withHub({ file: content, ignoresRange: true }, async ({ part, source }) => {
    await Deno.writeFile(part, content.subarray(0, 1000));
    const fetching = () => source().fetch(model, part);
    await assertRejects(fetching, Error, "does not answer range requests");
    await assertHolds(part, content.subarray(0, 1000));
  }));

Deno.test("the etag of a small file is not taken for a hash", () =>
  withHub({ file: content, etag: '"8f3a"' }, async ({ part, source }) => {
    assertEquals(await source().fetch(model, part), { sha256: undefined });
  }));

Deno.test("a file that the hub does not have is named", () =>
  withHub({}, async ({ part, source }) => {
    await assertRejects(
      () => source().fetch(model, part),
      Deno.errors.NotFound,
      "ada/tiny has no file sub/Tiny #1.gguf at revision abc",
    );
  }));

Deno.test("a silent hub is given up after the response timeout", () =>
  withHub({ silent: true }, async ({ part, source }) => {
    const fetching = () => source({ responseTimeoutMs: 50 }).fetch(model, part);
    await assertRejects(fetching, Error, "no response within 0.05 s");
  }));

Deno.test("a stalled download is given up", () =>
  withHub({ file: content, cuts: [0] }, async ({ part, source }) => {
    const fetching = () => source({ stallTimeoutMs: 20 }).fetch(model, part);
    await assertRejects(fetching, Error, "no data for 0.02 s");
  }));

Deno.test("an aborted fetch ends with the signal's reason", () =>
  withHub({ silent: true }, async ({ part, source }) => {
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(new Error("enough")), 50);
    const { signal } = aborter;
    const fetching = () => source().fetch(model, part, { signal });
    await assertRejects(fetching, Error, "enough");
  }));

Deno.test("no response outlives the fetch", () =>
  withHub({ file: content }, async ({ part, source }) => {
    const signals: (AbortSignal | null | undefined)[] = [];
    const spy: typeof fetch = (input, init) => {
      signals.push(init?.signal);
      return fetch(input, init);
    };
    await source({ fetch: spy }).fetch(model, part);
    assertEquals(signals.map((signal) => signal?.aborted), [true, true]);
  }));

Deno.test("an unreachable hub fails at once", async () => {
  await using directory = await temporaryDirectory();
  const source = hubSource({ hubUrl: "http://127.0.0.1:1" });
  await assertRejects(() => source.fetch(model, directory.file("x.part")));
});
