/** `POST /tokenize`, `/detokenize` and `/apply-template`: what prompts come to. @module */
import { type Context, Hono } from "hono";
import {
  parseApplyTemplate,
  parseDetokenize,
  parseTokenize,
} from "../openai/token_requests.ts";
import { readJson } from "./json_body.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";

/** Where these routes are. */
export const TOKEN_PATHS: readonly string[] = [
  "/tokenize",
  "/detokenize",
  "/apply-template",
];

/** The routes. */
export function tokenRoutes(parts: Parts): Hono {
  /** The body, once there is a model to ask. */
  const read = (c: Context) => {
    readyModel(parts);
    return readJson(c.req.raw, parts.bodyLimit);
  };
  return new Hono()
    .post("/tokenize", async (c) => {
      const { model, source } = parseTokenize(await read(c));
      const { tokens } = await namedModel(parts, model).encode(source);
      return c.json({ tokens, count: tokens.length });
    })
    .post("/apply-template", async (c) => {
      const { model, source } = parseApplyTemplate(await read(c));
      const { text } = await namedModel(parts, model).encode(source);
      return c.json({ prompt: text });
    })
    .post("/detokenize", async (c) => {
      const { model, tokens } = parseDetokenize(await read(c));
      const content = await namedModel(parts, model).decode(tokens);
      return c.json({ content });
    });
}
