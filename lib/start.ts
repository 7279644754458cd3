/**
 * The program behind `deno task start`: serves `main.ts` on HOST and PORT, and ends with status 1
 * and one clear line if it cannot. {@linkcode obeySignals} says what signals do.
 *
 * @module
 */
import { obeySignals } from "./ending/obey_signals.ts";

try {
  const { config, default: app, loaded, operation } = await import(
    "../main.ts"
  );
  const server = Deno.serve({
    hostname: config.hostname,
    port: config.port,
    onListen: app.onListen,
  }, app.fetch);
  obeySignals(operation, server);
  if (!await loaded && !operation.drain.draining) Deno.exit(1);
} catch (error) {
  console.error(describe(error as Error));
  Deno.exit(1);
}

function describe(error: Error): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return `Cannot listen on ${Deno.env.get("HOST") ?? "127.0.0.1"}:${
      Deno.env.get("PORT") ?? 8000
    }: ` +
      "the port is in use. Stop the other server or set PORT to another one.";
  }
  return error.message;
}
