import { assertStrictEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { defaultModelsDirectory } from "../../lib/models/models_directory.ts";

Deno.test("each system has its per-user cache directory", () => {
  const env = new Map([
    ["HOME", "/home/ada"],
    ["LOCALAPPDATA", "C:\\Users\\ada\\AppData\\Local"],
  ]);
  const tail = join("everstream", "models");
  const cases: [typeof Deno.build.os, string][] = [
    ["linux", join("/home/ada/.cache", tail)],
    ["darwin", join("/home/ada/Library/Caches", tail)],
    ["windows", join("C:\\Users\\ada\\AppData\\Local", tail)],
  ];
  for (const [os, path] of cases) {
    assertStrictEquals(defaultModelsDirectory(env, os), path);
  }
});

Deno.test("XDG_CACHE_HOME counts if it is absolute", () => {
  const at = (xdg: string) =>
    defaultModelsDirectory(
      new Map([["HOME", "/h"], ["XDG_CACHE_HOME", xdg]]),
      "linux",
    );
  assertStrictEquals(at("/cache"), join("/cache", "everstream", "models"));
  assertStrictEquals(at("cache"), join("/h", ".cache", "everstream", "models"));
});

Deno.test("a missing variable is named", () => {
  assertThrows(() => defaultModelsDirectory(new Map(), "linux"), Error, "HOME");
});
