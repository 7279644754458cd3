/** The command that users type, told to restart its model. */
import { assertEquals } from "@std/assert";
import { freePort } from "../../bench/server.ts";
import { realModelPath } from "../real_model.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Waits until the server is loading (503) or ready (200). */
async function health(url: string, status: number): Promise<void> {
  for (let i = 0; i < 600; i++) {
    const response = await fetch(`${url}/health`).catch(() => null);
    await response?.body?.cancel();
    if (response?.status === status) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${url}/health never answered ${status}`);
}

Deno.test({
  name: "SIGUSR2 restarts the model, and the server answers all along",
  ignore: Deno.build.os === "windows",
  async fn() {
    await realModelPath();
    const port = freePort();
    const server = new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "start"],
      cwd: new URL("../../", import.meta.url),
      env: {
        NO_COLOR: "1",
        EVERSTREAM_ENGINE: "native",
        EVERSTREAM_LOG: "off",
        PORT: `${port}`,
      },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = server.output();
    const url = `http://127.0.0.1:${port}`;
    try {
      await health(url, 200);
      server.kill("SIGUSR2");
      await health(url, 503);
      await health(url, 200);
    } finally {
      server.kill();
    }
    const printed = new TextDecoder().decode((await output).stdout);
    const lines = printed.trim().split("\n");
    assertEquals(
      lines.map((line) => line.split(" ")[0]),
      ["Listening", "Model", "SIGUSR2:", "Model", "SIGTERM:"],
      printed,
    );
  },
});
