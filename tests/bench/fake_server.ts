/** A server that answers as it is told to, for the soak's tests: no model, no application. @module */

/** What it does, and what was done to it. */
export interface FakeServer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  ended: boolean;
  /** Bodies and headers of requests for an answer, in order. */
  readonly asked: { body: Asked; headers: Headers }[];
  /** Answers that their client left. */
  left: number;
  /** Requests that are being answered. */
  running: number;
  /** Added to what runs, as a leaked slot would. */
  leaked: number;
}

/** A request's body. */
export interface Asked {
  messages: { role: string; content: string }[];
  max_tokens: number;
  stream: boolean;
}

/** One answer: a whole response, or the parts of a stream and what follows them. */
export type FakeAnswer = Response | {
  parts: string[];
  /** Milliseconds before each part. */
  delay?: number;
  end?: string;
};

const DONE = "data: [DONE]\n\n";

/** Serves until it is disposed of. */
export function serveFake(
  answer: (asked: Asked, index: number) => FakeAnswer,
): FakeServer {
  const encoder = new TextEncoder();
  const encode = (text: string) => encoder.encode(text);
  const http = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
  }, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/health") return new Response("ok");
    if (pathname === "/metrics") return new Response(metrics(fake));
    const body: Asked = await request.json();
    fake.asked.push({ body, headers: request.headers });
    const given = answer(body, fake.asked.length - 1);
    if (given instanceof Response) return given;
    const { parts, delay = 0, end = DONE } = given;
    fake.running++;
    let at = 0;
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, delay));
          if (at < parts.length) {
            const choices = [{ delta: { content: parts[at++] } }];
            const data = JSON.stringify({ choices });
            controller.enqueue(encode(`data: ${data}\n\n`));
          } else {
            controller.enqueue(encode(end));
            controller.close();
            fake.running--;
          }
        },
        cancel() {
          fake.left++;
          fake.running--;
        },
      }),
    );
  });
  const fake: FakeServer = {
    url: `http://127.0.0.1:${http.addr.port}`,
    pid: Deno.pid,
    ended: false,
    asked: [],
    left: 0,
    running: 0,
    leaked: 0,
    [Symbol.asyncDispose]: () => http.shutdown(),
  };
  return fake;
}

function metrics({ running, leaked }: FakeServer): string {
  const busy = running + leaked;
  return `# TYPE everstream:num_requests_running gauge
everstream:num_requests_running{model_name="fake"} ${busy}
everstream:num_requests_waiting{model_name="fake"} 0
everstream:cache_bytes{model_name="fake",state="active"} ${busy * 10}
everstream:cache_bytes{model_name="fake",state="idle"} ${500 - busy * 10}
everstream:cache_bytes{model_name="fake",state="free"} 500
everstream:cache_bytes{model_name="fake",state="swapped"} ${busy * 7}
`;
}
