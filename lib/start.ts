/**
 * The program behind `deno task start`: serves `main.ts` on HOST and PORT, and ends with status 1
 * and one clear line if it cannot. SIGUSR2 restarts the model.
 *
 * @module
 */
try {
  const { config, default: app, loaded, restart } = await import("../main.ts");
  Deno.serve({
    hostname: config.hostname,
    port: config.port,
    onListen: ({ hostname, port }) =>
      console.log(
        `Listening on http://${
          hostname.includes(":") ? `[${hostname}]` : hostname
        }:${port}`,
      ),
  }, app.fetch);
  if (Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGUSR2", () => {
      console.log("SIGUSR2: restarting the model; requests that run fail.");
      restart();
    });
  }
  if (!await loaded) Deno.exit(1);
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
