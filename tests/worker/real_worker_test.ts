/** The real model in its worker, on every engine. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type GenerationRequest,
  UnavailableError,
} from "../../lib/chat/chat_model.ts";
import { readConfig } from "../../lib/config.ts";
import type { EngineName } from "../../lib/engine/engine.ts";
import { ModelHost } from "../../lib/worker/model_host.ts";
import { realModelPath } from "../real_model.ts";
import { tell } from "./told_model.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const hasGpu = await navigator.gpu?.requestAdapter() != null;

const ANSWER = "The capital of France is Paris.";

/** A host of the real model on an engine, while `use` runs. */
async function hosted(
  engine: EngineName,
  use: (host: ModelHost) => Promise<void>,
): Promise<void> {
  await realModelPath();
  const logged: string[] = [];
  const log = (...parts: unknown[]) => logged.push(parts.join(" "));
  const host = new ModelHost({ ...readConfig(), engine, threads: 2 }, {
    log: { log, error: log },
  });
  try {
    assertEquals(await host.loaded, true, logged.join("\n"));
    assertStringIncludes(logged[0]!, `on ${engine}`);
    await use(host);
  } finally {
    await host.close();
  }
}

for (const engine of ["native", "wasm"] as const) {
  Deno.test(`${engine} runs in a worker, and again in the next one`, async () => {
    await hosted(engine, async (host) => {
      assertEquals(await answer(host), ANSWER);
      const endless = { logitBias: new Map([[0, -100], [2, -100]]) };
      const failed = assertRejects(
        () => answer(host, { sampling: endless }),
        UnavailableError,
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      assertEquals(await host.restart(), true);
      await failed;
      assertEquals(await answer(host), ANSWER);
    });
  });
}

Deno.test({
  name: "webgpu runs in a worker",
  ignore: !hasGpu && Deno.env.get("EVERSTREAM_REQUIRE_GPU") !== "1",
  async fn() {
    await hosted("webgpu", async (host) => {
      assertEquals(await answer(host, { maxTokens: 2 }), "The capital");
    });
  },
});

async function answer(
  host: ModelHost,
  more: Partial<GenerationRequest> = {},
): Promise<string> {
  const request = tell("What is the capital of France?");
  request.messages.unshift({ role: "system", content: "Answer in English." });
  request.sampling = { temperature: 0 };
  let text = "";
  const events = host.model()!.generate({ ...request, ...more });
  for await (const event of events) {
    if (event.type === "text") text += event.text;
  }
  return text;
}
