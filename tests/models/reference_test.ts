import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { parseModelReference } from "../../lib/models/reference.ts";

function parse(text: string, existing: string[] = []) {
  return parseModelReference(text, {
    exists: (path) => existing.includes(path),
  });
}

Deno.test("the default model has two aliases", () => {
  const reference = parse("default");
  assertEquals(reference, parse("smollm2-135m-instruct"));
  assertStrictEquals(reference.kind, "alias");
  if (reference.kind !== "alias") return;
  assertStrictEquals(reference.model.id, "smollm2-135m-instruct");
});

Deno.test("a slash, .gguf or an existing file makes a path", () => {
  for (
    const path of ["./model", "/a/b", "m.gguf", "M.GGUF", "..\\m", "plain"]
  ) {
    assertEquals(parse(path, ["plain"]), { kind: "path", path });
  }
});

Deno.test("an alias wins over a file of the same name", () => {
  assertStrictEquals(parse("default", ["default"]).kind, "alias");
});

Deno.test("the file system is asked by default", () => {
  const { kind } = parseModelReference("tests");
  assertStrictEquals(kind, "path");
});

Deno.test("a hub reference keeps sub-folders and revision", () => {
  assertEquals(parse("hf:ada/tiny/q4/Tiny 1.gguf@refs/pr/2"), {
    kind: "hub",
    model: {
      id: "Tiny 1",
      file: "ada/tiny@refs%2Fpr%2F2/q4/Tiny 1.gguf",
      hub: { repo: "ada/tiny", path: "q4/Tiny 1.gguf", revision: "refs/pr/2" },
    },
  });
});

Deno.test("a hub reference needs no revision", () => {
  assertEquals(parse("hf:ada/tiny/model.safetensors"), {
    kind: "hub",
    model: {
      id: "model.safetensors",
      file: "ada/tiny/model.safetensors",
      hub: { repo: "ada/tiny", path: "model.safetensors", revision: undefined },
    },
  });
});

Deno.test("unusable references say why", () => {
  const cases: [string, string][] = [
    ["", "it is empty"],
    ["  ", "it is empty"],
    ["gpt-5", "no alias (default, smollm2-135m-instruct)"],
    ["hf:ada/tiny", "file is missing"],
    ["hf:", "file is missing"],
    ["hf:ada/tiny/m.gguf@", "revision is empty"],
    ["hf:ada//m.gguf", '"" is no name'],
    ["hf:ada/tiny/../../m.gguf", '".." is no name'],
    ["hf:ada/tiny/a\\b.gguf", "is no name"],
    ["hf:C:/tiny/m.gguf", '"C:" is no name'],
  ];
  for (const [text, why] of cases) {
    assertThrows(() => parse(text), SyntaxError, why);
  }
});
