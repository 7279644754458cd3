/** What a running server does when its operator sends it a signal. @module */
import type { Drain } from "./drain.ts";

/** What signals have an effect on. */
export interface Operation {
  readonly drain: Drain;
  /** Milliseconds that answers have to end by themselves. */
  readonly patience: number;
  /** Called when nothing runs any more, before the program ends. */
  readonly close: () => Promise<void>;
  /** SIGUSR2: starts the model anew. */
  readonly restart: () => void;
  /** SIGHUP: reads the API keys again; `null` if they have no file. */
  readonly reload: (() => void) | null;
}

const ENDING = { SIGINT: 130, SIGTERM: 143 } as const;

/** Most milliseconds for the last bytes to reach their clients. */
const LAST_WORDS = 500;

/** Milliseconds for the same where there is no server to tell that they did. */
const UNTOLD = 100;

/**
 * From now on SIGINT and SIGTERM end the program well, with status 0, and at once if they come again
 * (130, 143). Where there is a `server`, it stops listening; `deno serve` does so by itself.
 */
export function obeySignals(
  operation: Operation,
  server?: Pick<Deno.HttpServer, "shutdown">,
): void {
  const { drain, restart, reload } = operation;
  for (const [signal, status] of Object.entries(ENDING)) {
    on(signal as keyof typeof ENDING, async () => {
      if (drain.draining) Deno.exit(status);
      const seconds = operation.patience / 1000;
      console.log(
        `${signal}: taking no more requests; answers have ${seconds} s to end.`,
      );
      drain.begin();
      const sent = server?.shutdown() ?? null;
      await end(operation);
      await Promise.race([sent ?? pause(UNTOLD), pause(LAST_WORDS)]);
      Deno.exit(0);
    });
  }
  on("SIGUSR2", () => {
    console.log("SIGUSR2: restarting the model; requests that run fail.");
    restart();
  });
  if (reload) on("SIGHUP", () => reloaded(reload));
}

/** Ends what is under way: see {@linkcode Drain}. */
async function end({ drain, patience, close }: Operation): Promise<void> {
  if (!await drain.idle(patience)) {
    drain.stop();
    await drain.idle(LAST_WORDS);
  }
  try {
    await close();
  } catch (error) {
    console.error("Could not close everything:", error);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function reloaded(reload: () => void): void {
  try {
    reload();
    console.log("SIGHUP: the API keys were read again.");
  } catch (error) {
    console.error(`${(error as Error).message}. The keys stay what they were.`);
  }
}

/** Windows has no signals but the one of Ctrl+C. */
function on(signal: Deno.Signal, obey: () => void): void {
  if (Deno.build.os === "windows" && signal !== "SIGINT") return;
  Deno.addSignalListener(signal, obey);
}
