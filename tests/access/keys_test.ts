import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  digestOf,
  isKey,
  KeyRing,
  parseKeyFile,
} from "../../lib/access/keys.ts";
import { openKeys } from "../../lib/access/open_keys.ts";

const ADA = "es-ada-0123456789";
const BOB = "es-bob-0123456789";

Deno.test("keys: a ring admits its keys and no others", () => {
  const ring = new KeyRing([digestOf(ADA), digestOf(BOB)]);
  assert(ring.admits(ADA) && ring.admits(BOB));
  fc.assert(fc.property(fc.string(), (key) => {
    assertEquals(ring.admits(key), key === ADA || key === BOB);
  }));
  assert(!ring.admits(`${ADA}0`) && !ring.admits(ADA.slice(0, -1)));
  assert(!ring.admits(digestOf(ADA)), "a digest is no key");
  assert(!new KeyRing([]).admits(ADA));
});

Deno.test("keys: what may be a key is long enough and survives a header", () => {
  assert(isKey(ADA) && isKey("AZaz09-._~+/AZaz=="));
  for (
    const no of [
      "",
      "short",
      "0123456789abcde",
      "0123456789 abcdef",
      "0123456789abcdé0",
    ]
  ) {
    assert(!isKey(no), no);
  }
});

Deno.test("keys: a file's line that is none is named by its number, not by what it holds", () => {
  const text = `\n# all of ours\nada ${digestOf(ADA)}\r\n  bob\t${
    digestOf(BOB).toUpperCase()
  }  \n`;
  assertEquals(parseKeyFile(text), [digestOf(ADA), digestOf(BOB)]);
  for (
    const bad of [
      `ada ${ADA}`,
      digestOf(ADA),
      `a b ${digestOf(ADA)}`,
      `ada ${digestOf(ADA)}0`,
    ]
  ) {
    const error = assertThrows(
      () => parseKeyFile(`# one\n${bad}`),
      SyntaxError,
      "Line 2 ",
    );
    assert(!error.message.includes(bad), error.message);
  }
});

Deno.test("keys: a file is read again when asked, and a bad one changes nothing", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, `ada ${digestOf(ADA)}\n`);
    const given = "es-environment-key";
    const keys = openKeys({ digests: [digestOf(given)], file })!;
    const admitted = () =>
      [ADA, BOB, given].map((key) => keys.ring.admits(key));
    assertEquals(admitted(), [true, false, true]);
    await Deno.writeTextFile(file, `bob ${digestOf(BOB)}\n`);
    assertEquals(admitted(), [true, false, true]);
    keys.reload();
    assertEquals(admitted(), [false, true, true]);
    await Deno.writeTextFile(file, "what?");
    assertThrows(
      () => keys.reload(),
      Error,
      `EVERSTREAM_API_KEYS_FILE=${file}: Line 1`,
    );
    assertEquals(admitted(), [false, true, true]);
    await Deno.writeTextFile(file, "");
    keys.reload();
    assertEquals(admitted(), [false, false, true]);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("keys: none configured is open, a file without one is closed, an absent file an error", async () => {
  assertEquals(openKeys({ digests: [], file: null }), null);
  const file = await Deno.makeTempFile();
  try {
    assert(!openKeys({ digests: [], file })!.ring.admits(ADA));
  } finally {
    await Deno.remove(file);
  }
  assertThrows(() => openKeys({ digests: [], file }), Error, file);
});

Deno.test("deno task key prints a key, and the line that admits it", async () => {
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "key", ...args],
      env: { NO_COLOR: "1" },
      cwd: new URL("../../", import.meta.url),
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, out: text(stdout), err: text(stderr) };
  };
  const { code, out } = await run("ada");
  assertEquals(code, 0);
  const [key, line] = out.trim().split("\n");
  assert(isKey(key!) && key!.length > 40, key);
  assertEquals(line, `ada ${digestOf(key!)}`);
  assert(new KeyRing(parseKeyFile(line!)).admits(key!));
  assert((await run("ada")).out !== out);
  const bad = await run("ada", "lovelace");
  assertEquals(bad.code, 2);
  assert(bad.err.includes('"ada lovelace"'), bad.err);
});
