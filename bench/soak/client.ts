/** A client on the wire: asks, reads the stream, leaves when it means to. @module */
import { eventData } from "./event_data.ts";
import type { Exchange, Outcome } from "./outcome.ts";
import type { Ask, Persona } from "./persona.ts";

/** No answer may take longer, its time in the queue included. */
const LIMIT_MS = 300_000;

/** Chats until `over`, telling of each request. */
export async function runClient(
  persona: Persona,
  { url, over, record }: {
    url: string;
    over: () => boolean;
    record: (exchange: Exchange) => void;
  },
): Promise<void> {
  while (!over()) {
    const exchange = await exchangeOf(url, persona.ask(), persona.apiKey);
    record(exchange);
    persona.take(exchange.text);
    const { outcome } = exchange;
    const wait = outcome.kind === "unavailable" ? outcome.retryAfter * 1000 : 0;
    await pause(wait + persona.pause(), over);
  }
}

/** Sends one request and reads what comes of it. */
export async function exchangeOf(
  url: string,
  ask: Ask,
  apiKey: string | null,
): Promise<Exchange> {
  const reading = new Reading(ask);
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({
        model: "default",
        stream: true,
        messages: ask.messages,
        max_tokens: ask.maxTokens,
      }),
      signal: reading.signal,
    });
    return reading.end(await outcomeOf(response, reading));
  } catch (error) {
    return reading.end(reading.failure(error as Error));
  } finally {
    reading.close();
  }
}

async function outcomeOf(
  response: Response,
  reading: Reading,
): Promise<Outcome> {
  if (response.status !== 200) {
    return refusalOf(response, await response.text());
  }
  let done = false; // the stream is read to its end, so that its connection can be used again
  for await (const data of eventData(response.body!)) {
    if (data === "[DONE]") {
      done = true;
      continue;
    }
    const { error, choices } = JSON.parse(data);
    if (error) return { kind: "stream error", code: String(error.code) };
    if (reading.take(choices[0]?.delta.content ?? "")) return { kind: "left" };
  }
  return done
    ? { kind: "finished" }
    : { kind: "unexpected", what: "a stream ended without [DONE]" };
}

/** What a response that is no answer means. */
function refusalOf({ status, headers }: Response, body: string): Outcome {
  const retryAfter = headers.get("retry-after");
  if (status === 503 && /^\d+$/.test(retryAfter ?? "")) {
    return { kind: "unavailable", retryAfter: Number(retryAfter) };
  }
  return {
    kind: "unexpected",
    what: `status ${status}, Retry-After ${retryAfter}: ${body.slice(0, 200)}`,
  };
}

/** What has been read of an answer, and when to leave. */
class Reading {
  readonly #controller = new AbortController();
  readonly #timers: ReturnType<typeof setTimeout>[] = [];
  readonly #start = performance.now();
  readonly #parts: number;
  #leaves = false;
  #text = "";
  #read = 0;
  #firstPartMs: number | null = null;

  constructor({ hangUp }: Ask) {
    const abort = () => this.#controller.abort();
    this.#timers.push(setTimeout(abort, LIMIT_MS));
    this.#parts = hangUp && "parts" in hangUp ? hangUp.parts : Infinity;
    if (hangUp && "milliseconds" in hangUp) {
      const leave = () => {
        this.#leaves = true;
        abort();
      };
      this.#timers.push(setTimeout(leave, hangUp.milliseconds));
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Takes a part; says whether the client leaves now. */
  take(text: string): boolean {
    if (text === "") return false;
    this.#text += text;
    this.#firstPartMs ??= performance.now() - this.#start;
    return ++this.#read >= this.#parts;
  }

  /** What an exception on the way means. */
  failure(error: Error): Outcome {
    if (this.#leaves) return { kind: "left" };
    const what = this.signal.aborted
      ? `no end of an answer within ${LIMIT_MS / 1000} s`
      : error.message.replaceAll(/\d+/g, "N"); // so that equal ones count together
    return { kind: "unexpected", what };
  }

  end(outcome: Outcome): Exchange {
    return {
      outcome,
      text: this.#text,
      parts: this.#read,
      firstPartMs: this.#firstPartMs,
    };
  }

  /** Forgets when to leave. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

/** Waits, but no longer than until `over`. */
async function pause(milliseconds: number, over: () => boolean): Promise<void> {
  const end = performance.now() + milliseconds;
  for (;;) {
    const left = end - performance.now();
    if (left <= 0 || over()) return;
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 100)));
  }
}
