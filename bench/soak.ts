/**
 * The program behind `deno task soak`: starts the server, has clients chat with it and leave, and
 * checks that nothing leaks or breaks.
 *
 * @module
 */
import { exitStatus } from "../lib/program/program.ts";
import { startServer } from "./server.ts";
import { checkSoak } from "./soak/checks.ts";
import { parseSoakOptions, type SoakOptions, USAGE } from "./soak/options.ts";
import { renderSoak } from "./soak/report.ts";
import { runSoak } from "./soak/run.ts";

/** Whether all that must hold did. */
async function soak(options: SoakOptions): Promise<boolean> {
  const { memory, minutes, clients, hangup, json } = options;
  await using server = await startServer(
    memory === undefined ? {} : { EVERSTREAM_MEMORY: memory },
  );
  console.error(
    `${clients} clients for ${minutes} minutes, leaving ${
      hangup * 100
    } % of their answers…`,
  );
  const result = await runSoak(server, options);
  const checks = checkSoak(result);
  console.log(renderSoak(result, checks));
  if (json) {
    const { samples, last, tally } = result;
    const plain = {
      ...tally,
      streamErrors: Object.fromEntries(tally.streamErrors),
      unexpected: Object.fromEntries(tally.unexpected),
    };
    await Deno.writeTextFile(
      json,
      JSON.stringify(
        { options, samples, last, tally: plain, checks },
        null,
        2,
      ) +
        "\n",
    );
  }
  return checks.every(({ ok }) => ok);
}

if (import.meta.main) {
  const program = { usage: USAGE, parse: parseSoakOptions, run: soak };
  Deno.exit(await exitStatus(program, Deno.args));
}
