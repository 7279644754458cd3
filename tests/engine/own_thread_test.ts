import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("denormals.ts", import.meta.url));

/** ONNX Runtime knows how to ask a CPU for it on x86 alone. */
const OWN = Deno.build.arch === "x86_64" ? "taken for 0" : "kept";

// In processes of their own: what is said of denormals once holds for a thread, and for all that runs on it.
for (const [thread, denormals] of [["own", OWN], ["other", "kept"]] as const) {
  const whose = thread === "own" ? "the model's own" : "others', too";
  Deno.test(`native: denormals are ${denormals} on a thread that is ${whose}`, async () => {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", PROGRAM, thread],
      env: { NO_COLOR: "1" },
    });
    const { stdout, stderr, success } = await command.output();
    assertEquals(success, true, new TextDecoder().decode(stderr));
    assertEquals(new TextDecoder().decode(stdout).trim(), denormals);
  });
}
