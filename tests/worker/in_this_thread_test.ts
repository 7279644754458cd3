import { assertEquals, assertRejects } from "@std/assert";
import { UnavailableError } from "../../lib/chat/chat_model.ts";
import { readConfig } from "../../lib/config.ts";
import { inThisThread } from "../../lib/worker/in_this_thread.ts";
import { ModelHost } from "../../lib/worker/model_host.ts";
import { CACHES, streamed, tell, ToldModel } from "./told_model.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("without workers a model in this thread does the same", async () => {
  let released = 0;
  const host = new ModelHost(readConfig(new Map([["HOME", "/"]])), {
    log: { log: () => {}, error: () => {} },
    worker: () =>
      inThisThread(() =>
        Promise.resolve({
          model: new ToldModel(),
          caches: CACHES,
          description: "Model told",
          release: () => Promise.resolve(void released++),
        })
      ),
  });
  assertEquals(host.caches(), null);
  assertEquals(await host.loaded, true);
  assertEquals(host.caches(), CACHES);
  const model = host.model()!;
  assertEquals(
    await Array.fromAsync(model.generate(tell("stream 3"))),
    streamed(3),
  );
  const events = model.generate(tell("wait"));
  await events.next();
  const failed = assertRejects(() => events.next(), UnavailableError);
  assertEquals(await host.restart(), true);
  await failed;
  assertEquals(released, 1);
  assertEquals((await host.model()!.state()).totals.beginningsAsked, 0);
  await host.close();
  assertEquals([host.model(), released], [null, 2]);
});
