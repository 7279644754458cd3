/**
 * The body of a streamed answer: a pull-based stream, whose `cancel()` tells at once that a client
 * is gone. What a slow client has not read waits in the {@linkcode Turn}, not here.
 *
 * @module
 */
import type { FrameWriter } from "../openai/chat_completion.ts";
import { currentRecord } from "../observe/request_record.ts";
import { toApiError } from "../openai/errors.ts";
import type { Turn } from "./turn.ts";

/** How a stream of events behaves. */
export interface EventStreamOptions {
  frames: FrameWriter;
  /** Milliseconds of silence after which a comment keeps proxies from closing the connection. */
  pingInterval: number;
  /** Told of errors, which the client only hears of in general. */
  report: (error: unknown) => void;
}

/** An answer as bytes of `text/event-stream`. */
export function eventStream(
  turn: Turn,
  { frames, pingInterval, report }: EventStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const record = currentRecord();

  function failure(error: unknown): string {
    const known = toApiError(error);
    if (known.status === 500) report(error);
    record?.failed(known);
    turn.close();
    return frames.error(known.body);
  }

  return new ReadableStream({
    start(controller) {
      controller.enqueue(encoder.encode(frames.open()));
    },
    async pull(controller) {
      const text = await nextFrames(turn, { frames, pingInterval })
        .catch((error) => failure(error));
      if (text === undefined) return;
      controller.enqueue(encoder.encode(text));
      if (turn.over) controller.close();
    },
    cancel() {
      turn.close();
    },
  }, { highWaterMark: 0 });
}

/**
 * The frames of all events that wait, so that a client that was slow catches up in one write; a
 * ping if there are none for long; `undefined` if the turn was closed.
 */
async function nextFrames(
  turn: Turn,
  { frames, pingInterval }: { frames: FrameWriter; pingInterval: number },
): Promise<string | undefined> {
  const deadline = performance.now() + pingInterval;
  for (;;) {
    const left = Math.max(0, deadline - performance.now());
    if (!await turn.arrives(left)) return ": ping\n\n";
    if (turn.over) return undefined;
    const text = turn.take().map((event) => frames.event(event)).join("");
    if (text !== "") return text;
  }
}
