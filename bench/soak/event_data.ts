/** Server-sent events as a client reads them. @module */

/**
 * The data of each event. Comments and other fields are passed over, and so is an event that the
 * end of the stream cuts off. Ending the iteration early cancels the body.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { eventData } from "./event_data.ts";
 * const { body } = new Response(": ping\n\ndata: one\n\ndata: two\ndata: lines\n\n");
 * assertEquals(await Array.fromAsync(eventData(body!)), ["one", "two\nlines"]);
 * ```
 */
export async function* eventData(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, void, void> {
  let data: string[] = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length > 0) yield data.join("\n");
      data = [];
    } else if (line.startsWith("data:")) {
      data.push(line.slice("data:".length).replace(/^ /, ""));
    }
  }
}

/** Lines that end with \n or \r\n, without their ends. */
async function* lines(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    for (const part of parts) yield part.replace(/\r$/, "");
  }
}
