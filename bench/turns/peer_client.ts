/** A peer in a process of its own, which is told what to say a line at a time. @module */
import type { Command } from "../peers/install.ts";
import type { TurnClient, TurnSample } from "./client.ts";

/** A program that holds one conversation: a line of JSON in, and one out. */
export class PeerClient implements TurnClient {
  readonly name: string;
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  #rest = "";

  /** @param command the program; it says its name first */
  static async open(command: Command): Promise<PeerClient> {
    const [program, ...args] = command;
    const process = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const lines = process.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    const opening = new PeerClient("", process, lines);
    const { peer } = JSON.parse(await opening.#line()) as { peer: string };
    return new PeerClient(peer, process, lines, opening);
  }

  private constructor(
    name: string,
    process: Deno.ChildProcess,
    lines: ReadableStreamDefaultReader<string>,
    before?: PeerClient,
  ) {
    this.name = name;
    this.#process = process;
    this.#lines = lines;
    this.#stdin = before ? before.#stdin : process.stdin.getWriter();
  }

  async say(text: string): Promise<TurnSample> {
    const line = JSON.stringify({ text }) + "\n";
    await this.#stdin.write(new TextEncoder().encode(line));
    return JSON.parse(await this.#line());
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#lines.read();
      if (done) {
        throw new Error(`Cannot go on: ${this.name || "the peer"} has ended`);
      }
      this.#rest += value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close().catch(() => {}); // it may have ended by itself
    await this.#lines.cancel();
    await this.#process.status;
  }
}
