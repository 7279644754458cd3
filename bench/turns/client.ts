/** A conversation as its client sees it, turn by turn and timed. @module */

/** What one turn was like. */
export interface TurnSample {
  /** Milliseconds from the request to the first text of the answer; to its end if it has none. */
  readonly firstMs: number;
  /** Milliseconds to the end of the answer. */
  readonly ms: number;
  readonly answer: string;
  /** Bytes of the conversation's cache; `null` where that is not told. */
  readonly cacheBytes: number | null;
  /** Tokens of the prompt that were computed; `null` where that is not told. */
  readonly computed: number | null;
  /** Why the turn was refused as it was first asked; `null` if it was not. */
  readonly refusal: string | null;
  /** Messages that its client had to forget for it. */
  readonly forgotten: number;
}

/** One side of a conversation that goes on. */
export interface TurnClient extends AsyncDisposable {
  /** Which program, and how it is used. */
  readonly name: string;
  /**
   * Says something and reads the answer to its end.
   *
   * @throws {Error} if there is none
   */
  say(text: string): Promise<TurnSample>;
}

/** What a client of an HTTP server is given. */
export interface TurnServer {
  readonly url: string;
  /** Most tokens of an answer. */
  readonly maxTokens: number;
}

/** Times an answer from now on. */
export class TurnClock {
  readonly #start = performance.now();
  #first: number | null = null;
  answer = "";

  /** Takes a piece of the answer. */
  add(text: string): void {
    if (text !== "") this.#first ??= this.#elapsed();
    this.answer += text;
  }

  /** The answer has ended. */
  end(): Pick<TurnSample, "firstMs" | "ms" | "answer"> {
    const ms = this.#elapsed();
    return { firstMs: this.#first ?? ms, ms, answer: this.answer };
  }

  #elapsed(): number {
    return performance.now() - this.#start;
  }
}

/** Posts JSON; gives the answer's body as it comes. */
export async function postStream(
  url: string,
  body: unknown,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return response.body!;
  throw new Error(
    `POST ${new URL(url).pathname} answered ${response.status}: ${
      (await response.text()).slice(0, 300)
    }`,
  );
}
