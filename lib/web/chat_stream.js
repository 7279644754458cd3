/** Asking the server for an answer and reading it as it comes. */
import { keyHeaders } from "./api_key.js";

/** The server wants an API key, or another one. */
export class KeyNeeded extends Error {}

/**
 * The chunks of an answer to these messages, each with the cache's state in `everstream`.
 * Aborting the signal ends it with an `AbortError`; what the server says of an error is thrown, as
 * {@linkcode KeyNeeded} if it is about the key.
 */
export async function* streamChat(messages, signal) {
  const response = await fetch("v1/chat/completions", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-everstream-cache": "1",
      ...keyHeaders(),
    },
    body: JSON.stringify({
      model: "default",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal,
  });
  if (response.status === 401) {
    throw new KeyNeeded(await errorMessage(response));
  }
  if (!response.ok) throw new Error(await errorMessage(response));
  for await (const data of eventData(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    yield chunk;
  }
  throw new Error("The connection ended before the answer did.");
}

async function errorMessage(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

/** The data of each server-sent event; comments (pings) are passed over. */
async function* eventData(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        if (event.startsWith("data: ")) yield event.slice("data: ".length);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
