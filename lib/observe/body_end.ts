/** When a response is over. @module */

/**
 * The same response; `ended` is called once when the last of it was read or nobody reads it any
 * more. Only event streams are waited for: any other body is there as a whole.
 */
export function whenEnded(
  { request, response }: { request: Request; response: Response },
  ended: () => void,
): Response {
  const type = response.headers.get("content-type") ?? "";
  if (
    response.body === null || request.method === "HEAD" ||
    !type.startsWith("text/event-stream")
  ) {
    ended();
    return response;
  }
  return new Response(watched(response.body, ended), response);
}

/** The same bytes, passed on as they are asked for: nothing waits here. */
function watched(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  ended: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      ended();
    },
    async cancel(reason) {
      try {
        await reader.cancel(reason);
      } finally {
        ended();
      }
    },
  }, { highWaterMark: 0 });
}
