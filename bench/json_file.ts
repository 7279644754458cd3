/** Where a program's results go as JSON. @module */

/**
 * Fails now, rather than after an hour of measuring, if a file cannot be written.
 *
 * @throws {Deno.errors.NotFound} and others that say why
 */
export async function checkWritable(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  using _file = await Deno.open(path, { create: true, append: true });
}

/** Writes results to a file, if one was named. */
export async function writeJson(
  path: string | undefined,
  results: unknown,
): Promise<void> {
  if (path === undefined) return;
  await Deno.writeTextFile(path, JSON.stringify(results, null, 2) + "\n");
}
