/**
 * The body of a streamed answer: a pull-based stream, whose `cancel()` tells at once that a client
 * is gone. What a slow client has not read waits in the {@linkcode Turn}, not here.
 *
 * @module
 */
import { currentRecord } from "../observe/request_record.ts";
import { type ErrorBody, toApiError } from "../openai/errors.ts";
import type { Turn } from "./turn.ts";

/** Writes events as text of `text/event-stream`. */
export interface Frames<Event> {
  /** What comes first. */
  open(): string;
  /** The frames of an event, `""` for none. */
  event(event: Event): string;
  /** What an error is; nothing follows it. */
  error(body: ErrorBody): string;
}

/** How a stream of events behaves. */
export interface EventStreamOptions<Event> {
  frames: Frames<Event>;
  /** Milliseconds of silence after which a comment keeps proxies from closing the connection. */
  pingInterval: number;
  /** Told of errors, which the client only hears of in general. */
  report: (error: unknown) => void;
}

/** An answer as bytes of `text/event-stream`. */
export function eventStream<Event extends { type: string }>(
  turn: Turn<Event>,
  { frames, pingInterval, report }: EventStreamOptions<Event>,
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
async function nextFrames<Event extends { type: string }>(
  turn: Turn<Event>,
  { frames, pingInterval }: { frames: Frames<Event>; pingInterval: number },
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
