/** A model in a real worker: what it answers, and what happens when it ends. */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  type GenerationEvent,
  UnavailableError,
} from "../../lib/chat/chat_model.ts";
import { type Config, readConfig } from "../../lib/config.ts";
import { type HostOptions, ModelHost } from "../../lib/worker/model_host.ts";
import { streamed, tell } from "./told_model.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const SCRIPT = new URL("./scripted_worker.ts", import.meta.url);

/** A host of scripted workers, what it logged, and how many it started. */
function hosted(config: Partial<Config> = {}, options: HostOptions = {}) {
  const logged: string[] = [];
  const log = (...parts: unknown[]) => logged.push(parts.join(" "));
  const started: Worker[] = [];
  const ended = new Set<Worker>();
  const host = new ModelHost({
    ...readConfig(new Map([["HOME", "/"]])),
    ...config,
  }, {
    log: { log, error: log },
    worker: () => {
      const worker = new Worker(SCRIPT, { type: "module" });
      started.push(worker);
      const terminate = worker.terminate.bind(worker);
      worker.terminate = () => {
        ended.add(worker);
        terminate();
      };
      return worker;
    },
    ...options,
  });
  return { host, logged, started, ended };
}

/** A host of a scripted model that is loaded and writes to a directory of its own. */
async function loaded(
  use: (
    of: ReturnType<typeof hosted>,
    released: () => Promise<string>,
  ) => Promise<void>,
) {
  const modelsDirectory = await Deno.makeTempDir();
  const of = hosted({ model: "told", modelsDirectory });
  try {
    assertEquals(await of.host.loaded, true);
    await use(of, async () => {
      return await Deno.readTextFile(`${modelsDirectory}/released`);
    });
  } finally {
    await of.host.close();
    assertEquals(of.ended.size, of.started.length, "a worker was left");
    await Deno.remove(modelsDirectory, { recursive: true });
  }
}

function ask(host: ModelHost, content: string) {
  return host.model()!.generate(tell(content));
}

/** Waits for a state of the host. */
async function until(is: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !is(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert(is(), `never came: ${is}`);
}

async function restarted(events: AsyncGenerator<GenerationEvent>) {
  const error = await assertRejects(() => events.next());
  assert(error instanceof UnavailableError, String(error));
  assertEquals(error.code, "model_restarted");
  assert(error.retryAfter >= 1);
}

Deno.test("a worker answers, and its state is asked for", async () => {
  await loaded(async ({ host, logged }) => {
    assertEquals(logged, ["Model told"]);
    assertEquals(host.model()!.id, "told");
    const answers = await Promise.all(
      [5, 50].map((count) => Array.fromAsync(ask(host, `stream ${count}`))),
    );
    assertEquals(answers, [streamed(5), streamed(50)]);
    assertEquals((await host.model()!.state()).totals.beginningsAsked, 2);
  });
});

Deno.test("an answer that is left is cancelled in the worker", async () => {
  await loaded(async ({ host }) => {
    const events = ask(host, "wait");
    await events.next();
    const pending = events.next();
    await events.return();
    assertEquals((await pending).done, true);
    const { running, totals } = await host.model()!.state();
    assertEquals([running, totals.evicted], [0, 1]);
  });
});

Deno.test("the main thread keeps its pace while the worker is busy", async () => {
  await loaded(async ({ host }) => {
    const events = ask(host, "block 1000");
    await events.next();
    const begun = performance.now();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 20);
    assertEquals((await events.next()).value, streamed(0).at(-1));
    clearInterval(timer);
    assert(performance.now() - begun > 500, "the worker was not busy");
    assert(ticks > 15, `${ticks} ticks of 20 ms in a second`);
    await events.next();
  });
});

for (const way of ["crash", "reject", "trap"]) {
  Deno.test(`a worker's ${way} fails what runs, and the next worker answers`, async () => {
    await loaded(async ({ host, logged, started }, released) => {
      const first = ask(host, "wait");
      const second = ask(host, "wait");
      await Promise.all([first.next(), second.next()]);
      const old = host.model()!;
      const culprit = ask(host, way);
      await culprit.next();
      await Promise.all([first, second, culprit].map(restarted));
      assertEquals([host.model(), host.problem()], [null, null]);
      await assertRejects(() => old.state(), UnavailableError);
      await restarted(old.generate(tell("stream 1")));

      await until(() => host.model() !== null);
      assertEquals(await Array.fromAsync(ask(host, "stream 2")), streamed(2));
      const { totals } = await host.model()!.state();
      assertEquals(totals.beginningsAsked, 1);
      assertEquals([started.length, await released()], [2, "."]);
      assertStringIncludes(logged[1]!, "started again");
    });
  });
}

Deno.test("restart fails what runs, releases the model and starts another worker", async () => {
  await loaded(async ({ host, started }, released) => {
    const events = ask(host, "wait");
    await events.next();
    const failed = restarted(events);
    const restarts = [host.restart(), host.restart()];
    assertEquals(host.model(), null);
    await failed;
    assertEquals(await Promise.all(restarts), [true, true]);
    assertEquals([started.length, await released()], [2, "."]);
    assertEquals(await Array.fromAsync(ask(host, "stream 1")), streamed(1));
  });
});

Deno.test("a restart while a crash is being cleared away starts one worker", async () => {
  await loaded(async ({ host, started }, released) => {
    const events = ask(host, "crash");
    await events.next();
    await restarted(events);
    assertEquals(await host.restart(), true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertNotEquals(host.model(), null);
    assertEquals([started.length, await released()], [2, "."]);
  });
});

Deno.test("close while a crash is being cleared away starts none", async () => {
  await loaded(async ({ host, logged }, released) => {
    const events = ask(host, "crash");
    await events.next();
    await restarted(events);
    await host.close();
    assertEquals([logged, await released()], [["Model told"], "."]);
  });
});

Deno.test("close while the next start is waited for starts none", async () => {
  const modelsDirectory = await Deno.makeTempDir();
  const { host, logged, started } = hosted(
    { model: "short-lived", modelsDirectory },
    { crashes: { add: () => 60_000 } },
  );
  assertEquals(await host.loaded, true);
  await until(() => logged.length === 2);
  await host.close();
  assertEquals(started.length, 1);
  await Deno.remove(modelsDirectory, { recursive: true });
});

Deno.test("close fails what runs and releases the model", async () => {
  await loaded(async ({ host, started }, released) => {
    const events = ask(host, "wait");
    await events.next();
    const failed = restarted(events);
    await host.close();
    await failed;
    assertEquals([host.model(), await released()], [null, "."]);
    assertEquals(await host.restart(), false);
    assertEquals(started.length, 1);
  });
});

Deno.test("close while the model is loaded ends that", async () => {
  const { host, ended } = hosted({ model: "endless" });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals([host.model(), host.problem()], [null, null]);
  await host.close();
  assertEquals([await host.loaded, ended.size], [false, 1]);
});

Deno.test("a model that cannot be loaded at first is not tried again unasked", async () => {
  const { host, logged, started } = hosted({ model: "absent" });
  await using _ = host;
  const problem = "There is no file at absent.gguf";
  assertEquals(await host.loaded, false);
  assertEquals([host.model(), host.problem()], [null, problem]);
  assertEquals(logged, [`Cannot load the model.\n${problem}`]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(started.length, 1);
  assertEquals(await host.restart(), false);
  assertEquals([host.problem(), started.length], [problem, 2]);
});

Deno.test("a worker whose script fails is a problem, not the server's end", async () => {
  const { host } = hosted({}, {
    worker: () =>
      new Worker("data:text/javascript,throw new Error('broken script')", {
        type: "module",
      }),
  });
  await using _ = host;
  assertEquals(await host.loaded, false);
  assertStringIncludes(host.problem()!, "broken script");
});

Deno.test("a worker that cannot be started is a problem, too", async () => {
  const { host } = hosted({}, {
    worker: () => {
      throw new TypeError("no workers here");
    },
  });
  await using _ = host;
  assertEquals(await host.loaded, false);
  assertEquals(host.problem(), "no workers here");
});

Deno.test("crashes again and again end in a problem, which a restart may solve", async () => {
  const delays = [0, 1, null];
  const modelsDirectory = await Deno.makeTempDir();
  const { host, logged, started } = hosted(
    { model: "short-lived", modelsDirectory },
    { crashes: { add: () => delays.shift() ?? null } },
  );
  await using _ = host;
  assertEquals(await host.loaded, true);
  await until(() => host.problem() !== null);
  assertStringIncludes(host.problem()!, "too often");
  assertStringIncludes(host.problem()!, "short-lived");
  assertEquals([host.model(), started.length], [null, 3]);
  assertStringIncludes(logged.at(-1)!, "too often");
  assertEquals(await host.restart(), true);
  assertEquals([host.problem(), started.length], [null, 4]);
  await host.close();
  await Deno.remove(modelsDirectory, { recursive: true });
});
