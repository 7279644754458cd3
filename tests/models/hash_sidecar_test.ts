import { assertEquals, assertStrictEquals } from "@std/assert";
import {
  rememberedSha256,
  sidecarPath,
} from "../../lib/models/hash_sidecar.ts";
import { sha256OfFile } from "../../lib/models/sha256.ts";
import { content, namesIn, sha256, temporaryDirectory } from "./_fixtures.ts";

function counting() {
  const counter = {
    calls: 0,
    hash: (path: string) => {
      counter.calls++;
      return sha256OfFile(path);
    },
  };
  return counter;
}

Deno.test("a file is hashed once", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.gguf");
  await Deno.writeFile(path, content);
  const counter = counting();
  const options = { directory: directory.path, hash: counter.hash };
  for (let start = 0; start < 3; start++) {
    assertStrictEquals(await rememberedSha256(path, options), sha256(content));
  }
  assertStrictEquals(counter.calls, 1);
  assertEquals(await namesIn(directory.path), ["a.gguf", "a.gguf.sha256.json"]);
});

Deno.test("a changed file is hashed again", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.gguf");
  const counter = counting();
  const options = { directory: directory.path, hash: counter.hash };
  await Deno.writeFile(path, content);
  await rememberedSha256(path, options);
  const changed = content.slice().fill(1);
  await Deno.writeFile(path, changed);
  await Deno.utime(path, 1e9, 1e9); // The same size, another time.
  assertStrictEquals(await rememberedSha256(path, options), sha256(changed));
  await Deno.writeFile(path, changed.subarray(1));
  await Deno.utime(path, 1e9, 1e9); // The same time, another size.
  assertStrictEquals(
    await rememberedSha256(path, options),
    sha256(changed.subarray(1)),
  );
  assertStrictEquals(counter.calls, 3);
});

Deno.test("a damaged sidecar is replaced", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.gguf");
  const options = { directory: directory.path };
  await Deno.writeFile(path, content);
  for (const damaged of ["{", "null", `{"sha256":"x"}`]) {
    await Deno.writeTextFile(sidecarPath(path, directory.path), damaged);
    assertStrictEquals(await rememberedSha256(path, options), sha256(content));
  }
});

Deno.test("a file outside the models directory gets nothing beside it", async () => {
  await using directory = await temporaryDirectory();
  await using elsewhere = await temporaryDirectory();
  const path = elsewhere.file("a.gguf");
  await Deno.writeFile(path, content);
  const counter = counting();
  const options = { directory: directory.path, hash: counter.hash };
  await rememberedSha256(path, options);
  await rememberedSha256(path, options);
  assertStrictEquals(counter.calls, 1);
  assertEquals(await namesIn(elsewhere.path), ["a.gguf"]);
  assertEquals(await namesIn(directory.path), ["hashes"]);
});

Deno.test("a sidecar that cannot be written is done without", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.gguf");
  await Deno.writeFile(path, content);
  const options = { directory: directory.file("a.gguf/none") };
  assertStrictEquals(await rememberedSha256(path, options), sha256(content));
});

Deno.test("a name that starts with two dots is inside", () => {
  assertStrictEquals(sidecarPath("/m/..a", "/m"), "/m/..a.sha256.json");
});
