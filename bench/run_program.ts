/** Other programs. @module */

/**
 * What a program prints; what it says on stderr is passed on.
 *
 * @throws {Error} if it ends with another status than 0.
 */
export async function outputOf([program, ...args]: string[]): Promise<string> {
  const command = new Deno.Command(program!, {
    args,
    stdout: "piped",
    stderr: "inherit",
  });
  const { success, code, stdout } = await command.output();
  if (!success) {
    throw new Error(
      `Cannot use ${program} ${args.join(" ")}: it ended with ${code}`,
    );
  }
  return new TextDecoder().decode(stdout);
}

/**
 * What a program prints as one JSON value a line.
 *
 * @throws {Error} if it ends with another status than 0.
 */
export async function jsonLinesOf<T>(command: string[]): Promise<T[]> {
  const text = await outputOf(command);
  return text.trim().split("\n").map((line): T => JSON.parse(line));
}
