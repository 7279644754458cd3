/** What all programs have in common: a command line, and a status to exit with. @module */

/** A program with options. */
export interface Program<Options extends { readonly help: boolean }> {
  readonly usage: string;
  /** Reads the command line; what it throws is the user's mistake. */
  parse(args: readonly string[]): Options;
  /** Does the work; says whether all of it succeeded. */
  run(options: Options): Promise<boolean>;
}

/** Exit status: 0, 1 if the work fails in part or as a whole, 2 if the command line is wrong. */
export async function exitStatus<Options extends { readonly help: boolean }>(
  program: Program<Options>,
  args: readonly string[],
): Promise<number> {
  let options: Options;
  try {
    options = program.parse(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${program.usage}`);
    return 2;
  }
  if (options.help) {
    console.log(program.usage);
    return 0;
  }
  try {
    return await program.run(options) ? 0 : 1;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}
