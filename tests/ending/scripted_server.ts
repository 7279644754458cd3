/**
 * A server of a scripted model, as `lib/start.ts` serves the real one, for tests of what only a
 * process shows. Prints its address as the first line, and "closed" when it has ended well.
 */
import { openKeys } from "../../lib/access/open_keys.ts";
import { createApp } from "../../lib/app.ts";
import { Drain } from "../../lib/ending/drain.ts";
import { obeySignals } from "../../lib/ending/obey_signals.ts";
import { openTracing } from "../../lib/observe/tracing.ts";
import { ScriptedModel } from "../scripted_model.ts";

const { patience = 0, script = {}, tracing = false, keyFile = null } = JSON
  .parse(Deno.args[0] ?? "{}");
const keys = openKeys({ digests: [], file: keyFile });
const model = new ScriptedModel(script);
const drain = new Drain();
const app = createApp({
  model: () => model,
  tracing: tracing ? await openTracing() : null,
  log: (line) => console.log(JSON.stringify(line)),
  keys: keys?.ring ?? null,
  drain,
});
const server = Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`http://127.0.0.1:${port}`),
}, app.fetch);
obeySignals({
  drain,
  patience,
  close: () => Promise.resolve(console.log("closed")),
  restart: () => {},
  reload: keys && keys.reload,
}, server);
