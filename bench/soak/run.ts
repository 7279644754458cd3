/** A soak of a running server. @module */
import type { SoakResult } from "./checks.ts";
import { runClient } from "./client.ts";
import { TallyCounter } from "./outcome.ts";
import { Persona } from "./persona.ts";
import { type SoakSample, takeSample, type Watched } from "./watch.ts";

/** A server, and whether its process has ended. */
export interface SoakedServer extends Watched {
  readonly ended: boolean;
}

/** How to soak it. */
export interface RunOptions {
  readonly minutes: number;
  readonly clients: number;
  readonly hangup: number;
  readonly every: number;
  readonly seed: number;
  /** Milliseconds that the server has to become idle after the last client. */
  readonly idleWithin?: number;
}

const POLL_MS = 100;

/**
 * Has clients chat with a server and watches it, until time is up, each client's last request has
 * ended and the server is idle.
 *
 * @throws {Error} if the server cannot be watched from the start.
 */
export async function runSoak(
  server: SoakedServer,
  options: RunOptions,
): Promise<SoakResult> {
  const start = performance.now();
  const tally = new TallyCounter();
  const samples: SoakSample[] = [await takeSample(server, start)];
  const end = start + options.minutes * 60_000;
  const over = () => performance.now() >= end || server.ended;
  const clients = Array.from(
    { length: options.clients },
    (_, i) =>
      runClient(new Persona(i, options), {
        url: server.url,
        over,
        record: (exchange) => tally.add(exchange),
      }),
  );
  const look = async () => {
    for (let next = start; !over();) {
      next = Math.max(next + options.every * 1000, performance.now());
      await delay(Math.max(0, Math.min(next, end) - performance.now()));
      await takeSample(server, start).then(
        (sample) => samples.push(sample),
        (error: Error) => tally.problem(error.message),
      );
    }
  };
  await Promise.all([look(), ...clients]);
  if (server.ended) tally.problem("the server's process ended");
  const last = await idleSample(server, {
    start,
    within: options.idleWithin ?? 30_000,
  });
  return { samples, last, tally };
}

/** The first sample of an idle server, or the last one before time is up; `null` without any. */
async function idleSample(
  server: SoakedServer,
  { start, within }: { start: number; within: number },
): Promise<SoakSample | null> {
  const end = performance.now() + within;
  for (;;) {
    const sample = await takeSample(server, start).catch(() => null);
    const idle = sample?.running === 0 && sample.waiting === 0;
    if (idle || server.ended || performance.now() >= end) return sample;
    await delay(POLL_MS);
  }
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
