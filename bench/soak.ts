/**
 * The program behind `deno task soak`: starts the server, has clients chat with it and leave, or one
 * conversation go on for thousands of turns, and checks that nothing leaks, grows or breaks.
 *
 * @module
 */
import { exitStatus } from "../lib/program/program.ts";
import { checkWritable, writeJson } from "./json_file.ts";
import { startServer } from "./server.ts";
import { checkSoak } from "./soak/checks.ts";
import { holdConversation } from "./soak/conversation.ts";
import { checkConversation } from "./soak/conversation_checks.ts";
import { parseSoakOptions, type SoakOptions, USAGE } from "./soak/options.ts";
import { renderConversation, renderSoak } from "./soak/report.ts";
import { runSoak } from "./soak/run.ts";

/** Whether all that must hold did. */
async function soak(options: SoakOptions): Promise<boolean> {
  const { turns, memory, json } = options;
  await checkWritable(json);
  const variables = memory === undefined ? {} : { EVERSTREAM_MEMORY: memory };
  return turns === undefined
    ? await soakWithClients(variables, options)
    : await soakOneConversation(variables, { ...options, turns });
}

async function soakWithClients(
  variables: Record<string, string>,
  options: SoakOptions,
): Promise<boolean> {
  const { minutes, clients, hangup } = options;
  await using server = await startServer(variables);
  console.error(
    `${clients} clients for ${minutes} minutes, leaving ${
      hangup * 100
    } % of their answers…`,
  );
  const result = await runSoak(server, options);
  const checks = checkSoak(result);
  console.log(renderSoak(result, checks));
  const { samples, last, tally } = result;
  const plain = {
    ...tally,
    streamErrors: Object.fromEntries(tally.streamErrors),
    unexpected: Object.fromEntries(tally.unexpected),
  };
  await writeJson(options.json, {
    options,
    samples,
    last,
    tally: plain,
    checks,
  });
  return checks.every(({ ok }) => ok);
}

async function soakOneConversation(
  variables: Record<string, string>,
  options: SoakOptions & { readonly turns: number },
): Promise<boolean> {
  const data = await Deno.makeTempDir({ prefix: "everstream_soak_" });
  try {
    await using server = await startServer({
      EVERSTREAM_WINDOW: Deno.env.get("EVERSTREAM_WINDOW") ?? "124",
      EVERSTREAM_SNAPSHOT_BYTES: Deno.env.get("EVERSTREAM_SNAPSHOT_BYTES") ??
        "64MiB", // soon full, so that what is pruned is seen too
      ...variables,
      EVERSTREAM_DATA: data,
    });
    console.error(`One conversation of ${options.turns} turns…`);
    const { turns } = options;
    const result = await holdConversation(server, { turns, data });
    const checks = checkConversation(result);
    console.log(renderConversation(result, checks));
    await writeJson(options.json, { options, ...result, checks });
    return checks.every(({ ok }) => ok);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}

if (import.meta.main) {
  const program = { usage: USAGE, parse: parseSoakOptions, run: soak };
  Deno.exit(await exitStatus(program, Deno.args));
}
