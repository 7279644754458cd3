/** The body of a response's stream: its events as they come, from whichever one on. @module */
import { invalidRequest, toApiError } from "../openai/errors.ts";
import type { StreamEvent } from "../store/records.ts";
import { GoneError } from "../store/under_way.ts";

/** How a stream behaves. */
export interface ResponseStreamOptions {
  /** Milliseconds of silence after which a comment keeps proxies from closing the connection. */
  readonly pingInterval: number;
  /** Called when the client leaves before the end. */
  readonly left: () => void;
  /** Told of errors, which the client only hears of in general. */
  readonly report: (error: unknown) => void;
}

/** Headers of an event stream. */
export const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
} as const;

/** Events as bytes of `text/event-stream`, each with its type as the event's name. */
export function responseStream(
  events: AsyncGenerator<StreamEvent, void, void>,
  { pingInterval, left, report }: ResponseStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<StreamEvent, void>> | null = null;
  let number = 0;
  let gone = false;
  return new ReadableStream({
    async pull(controller) {
      next ??= events.next();
      try {
        const step = await within(next, pingInterval);
        if (gone) return;
        if (step === null) {
          return controller.enqueue(encoder.encode(": ping\n\n"));
        }
        next = null;
        if (step.done) return controller.close();
        number = step.value.sequence_number + 1;
        controller.enqueue(encoder.encode(frame(step.value)));
      } catch (error) {
        if (gone) return;
        const { message, param, code } = told(error, report);
        const event = { type: "error", code, message, param };
        controller.enqueue(
          encoder.encode(frame({ ...event, sequence_number: number })),
        );
        controller.close();
      }
    },
    async cancel() {
      gone = true;
      left();
      await events.return();
    },
  }, { highWaterMark: 0 });
}

function frame(event: StreamEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** What the client is told. */
function told(error: unknown, report: (error: unknown) => void) {
  if (error instanceof GoneError) {
    return invalidRequest("The response was deleted.", {
      code: "response_deleted",
    }).body.error;
  }
  if (error instanceof RangeError) {
    return invalidRequest(
      "These events of the response are not kept any more: read the whole response instead.",
      { code: "events_forgotten", param: "starting_after" },
    ).body.error;
  }
  report(error);
  return toApiError(error).body.error;
}

/** The promise's value; `null` if it takes longer. */
async function within<T>(
  promise: Promise<T>,
  milliseconds: number,
): Promise<T | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), milliseconds);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
