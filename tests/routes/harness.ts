/** What the route tests share: an app over a scripted model, served or not. @module */
import OpenAI from "openai";
import { type AppParts, createApp } from "../../lib/app.ts";
import { type Script, ScriptedModel } from "../scripted_model.ts";

/** What plans are made from: SmolLM2-135M as the server runs it by default. */
export const CACHES = {
  shape: { layers: 30, heads: 9, kvHeads: 3, headDim: 64 },
  sinks: 4,
  window: 1020,
  lazyLayers: 10,
  memory: 384 * 2 ** 20,
};

/** An app over a scripted model, and what it reported. */
export interface TestApp {
  app: ReturnType<typeof createApp>;
  model: ScriptedModel;
  reported: unknown[];
  /** Posts JSON (or, if a string, that text) to the chat route. */
  chat(body: unknown, init?: RequestInit): Promise<Response>;
}

/** An app over a model that follows the script. */
export function testApp(
  script: Script = {},
  parts: Partial<AppParts> = {},
): TestApp {
  const model = new ScriptedModel(script);
  const reported: unknown[] = [];
  const app = createApp({
    model: () => model,
    report: (error) => reported.push(error),
    ...parts,
  });
  return {
    app,
    model,
    reported,
    chat: async (body, init = {}) =>
      await app.request("/v1/chat/completions", post(body, init)),
  };
}

/** What `fetch` and `app.request` need to post JSON. */
export function post(body: unknown, init: RequestInit = {}): RequestInit {
  return {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
    headers: { "content-type": "application/json", ...init.headers },
  };
}

/** A minimal request body, with more on top. */
export function hello(more: Record<string, unknown> = {}) {
  return { messages: [{ role: "user", content: "Hi" }], ...more };
}

/** Serves the app on a free port while `use` runs, and gives it the base address. */
export async function served(
  { app }: TestApp,
  use: (base: string) => Promise<void>,
): Promise<void> {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    app.fetch,
  );
  await use(`http://127.0.0.1:${server.addr.port}`);
}

/** OpenAI's client for a served app. */
export function client(base: string): OpenAI {
  return new OpenAI({
    baseURL: `${base}/v1`,
    apiKey: "none",
    maxRetries: 0,
    logLevel: "off",
  });
}

/**
 * Waits until `holds` does; fails when it has looked for these milliseconds. It counts how often it
 * looked, not a clock: a machine that stood still meanwhile has not given what is waited for its time.
 */
export async function eventually(
  holds: () => boolean,
  within = 10_000,
): Promise<void> {
  const pause = 5;
  const begun = performance.now();
  for (let looks = 0; !holds(); looks++) {
    if (looks * pause > within) {
      const took = Math.round(performance.now() - begun);
      throw new Error(`never held in ${looks} looks, ${took} ms: ${holds}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** The frames of an event stream, and each one's JSON where it has any. */
export function frames(text: string): string[] {
  return text.split("\n\n").filter((frame) => frame !== "");
}
