/** The program behind `deno task key`: a new API key and its line for the file of keys. @module */
import { exitStatus, type Program } from "../program/program.ts";
import { digestOf } from "./keys.ts";

const USAGE = `Makes an API key: deno task key [NAME]

Prints the key, for the client, on the first line, and on the second the line
for the file that EVERSTREAM_API_KEYS_FILE names. The key itself is kept nowhere.`;

interface Options {
  readonly help: boolean;
  readonly name: string;
}

/** `deno task key`. */
export const KEY: Program<Options> = {
  usage: USAGE,
  parse(args) {
    const help = args.includes("--help");
    const [name = "key", ...more] = args;
    if (!help && (more.length > 0 || !/^[^\s#-]\S*$/.test(name))) {
      throw new RangeError(
        `Cannot name a key ${
          JSON.stringify(args.join(" "))
        }: give one word that does not begin with # or -`,
      );
    }
    return { help, name };
  },
  run({ name }) {
    const random = crypto.getRandomValues(new Uint8Array(32));
    const key = `es-${
      random.toBase64({ alphabet: "base64url", omitPadding: true })
    }`;
    console.log(`${key}\n${name} ${digestOf(key)}`);
    return Promise.resolve(true);
  },
};

if (import.meta.main) Deno.exitCode = await exitStatus(KEY, Deno.args);
