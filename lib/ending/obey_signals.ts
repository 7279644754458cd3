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

/**
 * Milliseconds after the first signal in which others are the same one: Ctrl+C reaches a terminal's
 * whole process group, and `deno task` and npx pass what they got on to us.
 */
const ECHO = 500;

/** Most milliseconds for the last bytes to reach their clients. */
const LAST_WORDS = 500;

/** Milliseconds for the same where there is no server to tell that they did. */
const UNTOLD = 100;

/**
 * From now on SIGINT and SIGTERM end the program well, with status 0, and at once if another comes
 * half a second later or more (130, 143). Where there is a `server`, it stops listening; `deno serve`
 * does so by itself.
 */
export function obeySignals(
  operation: Operation,
  server?: Pick<Deno.HttpServer, "shutdown">,
): void {
  const { restart, reload } = operation;
  let first: number | null = null;
  function end(signal: keyof typeof ENDING): void {
    const now = performance.now();
    if (first === null) {
      first = now;
      endWell(operation, { signal, server });
    } else if (now - first > ECHO) Deno.exit(ENDING[signal]);
  }
  on("SIGINT", () => end("SIGINT"));
  on("SIGTERM", () => end("SIGTERM"));
  on("SIGUSR2", () => {
    console.log("SIGUSR2: restarting the model; requests that run fail.");
    restart();
  });
  if (reload) on("SIGHUP", () => reloaded(reload));
}

async function endWell(
  { drain, patience, close }: Operation,
  { signal, server }: {
    signal: string;
    server: Pick<Deno.HttpServer, "shutdown"> | undefined;
  },
): Promise<void> {
  console.log(
    `${signal}: taking no more requests; answers have ${
      patience / 1000
    } s to end.`,
  );
  drain.begin();
  const sent = server?.shutdown() ?? null;
  if (!await drain.idle(patience)) {
    drain.stop();
    await drain.idle(LAST_WORDS);
  }
  await Promise.race([sent ?? pause(UNTOLD), pause(LAST_WORDS)]);
  try {
    await close();
  } catch (error) {
    console.error("Could not close everything:", error);
  }
  Deno.exit(0);
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
