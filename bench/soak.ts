/**
 * The program behind `deno task soak`: starts the server, has clients chat with it and leave, and
 * checks that nothing leaks or breaks.
 *
 * @module
 */
import { startServer } from "./server.ts";
import { checkSoak } from "./soak/checks.ts";
import { parseSoakOptions, type SoakOptions, USAGE } from "./soak/options.ts";
import { renderSoak } from "./soak/report.ts";
import { runSoak } from "./soak/run.ts";

/** Exit status: 0, 1 if a check or the soak itself fails, 2 if the command line is wrong. */
async function main(args: readonly string[]): Promise<number> {
  let options: SoakOptions;
  try {
    options = parseSoakOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  try {
    return await soak(options) ? 0 : 1;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

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

if (import.meta.main) Deno.exit(await main(Deno.args));
