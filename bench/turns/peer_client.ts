/** A peer in a process of its own, which is told what to say a line at a time. @module */
import type { Command } from "../peers/install.ts";
import type { TurnClient, TurnSample } from "./client.ts";

/** A program that holds one conversation: a line of JSON in, and one out. */
export class PeerClient implements TurnClient {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  #name = "the peer";
  #rest = "";

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#stdin = process.stdin.getWriter();
    this.#stdout = process.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /**
   * Starts a program and waits for its name.
   *
   * @throws {Error} if it ends before that
   */
  static async open([program, ...args]: Command): Promise<PeerClient> {
    const command = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    });
    const client = new PeerClient(command.spawn());
    client.#name = JSON.parse(await client.#line()).peer;
    return client;
  }

  get name(): string {
    return this.#name;
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
      const { done, value } = await this.#stdout.read();
      if (done) {
        throw new Error(`Cannot go on: ${this.#name} has ended`);
      }
      this.#rest += value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close().catch(() => {}); // it may have ended by itself
    await this.#stdout.cancel();
    await this.#process.status;
  }
}
