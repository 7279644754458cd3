/** `POST /tokenize`, `/detokenize` and `/apply-template`: what prompts come to. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import {
  contentAnswerSchema,
  detokenizeSchema,
  parseApplyTemplate,
  parseDetokenize,
  parseTokenize,
  promptAnswerSchema,
  templateSchema,
  tokenizeSchema,
  tokensAnswerSchema,
} from "../openai/token_requests.ts";
import { addPath } from "../openapi/add_path.ts";
import type { Operation } from "../openapi/operation.ts";
import { readJson } from "./json_body.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";

/** Where these routes are. */
export const TOKEN_PATHS: readonly string[] = [
  "/tokenize",
  "/detokenize",
  "/apply-template",
];

const messages = [{ role: "user", content: "Hello" }];

const TOKENIZE: Operation = {
  id: "tokenize",
  tag: "Tokens",
  summary: "The tokens of a text, or of messages",
  body: { schema: tokenizeSchema, example: { content: "Hello" } },
  answers: {
    200: {
      description: "Token ids.",
      content: { "application/json": tokensAnswerSchema },
    },
  },
  errors: [404],
};

const DETOKENIZE: Operation = {
  id: "detokenize",
  tag: "Tokens",
  summary: "The text of tokens",
  description: "An id that is not the model's is an error.",
  body: { schema: detokenizeSchema, example: { tokens: [3, 4] } },
  answers: {
    200: {
      description: "Text.",
      content: { "application/json": contentAnswerSchema },
    },
  },
  errors: [404],
};

const TEMPLATE: Operation = {
  id: "applyTemplate",
  tag: "Tokens",
  summary: "The prompt that messages come to",
  body: { schema: templateSchema, example: { messages } },
  answers: {
    200: {
      description: "Text, in which control tokens cannot be told from text.",
      content: { "application/json": promptAnswerSchema },
    },
  },
  errors: [404],
};

/** The routes. */
export function tokenRoutes(parts: Parts): OpenAPIHono {
  /** The body, once there is a model to ask. */
  const read = (c: Context) => {
    readyModel(parts);
    return readJson(c.req.raw, parts.bodyLimit);
  };
  const app = new OpenAPIHono();
  addPath(app, "/tokenize", {
    post: [TOKENIZE, async (c) => {
      const { model, source } = parseTokenize(await read(c));
      const { tokens } = await namedModel(parts, model).encode(source);
      return c.json({ tokens, count: tokens.length });
    }],
  });
  addPath(app, "/apply-template", {
    post: [TEMPLATE, async (c) => {
      const { model, source } = parseApplyTemplate(await read(c));
      const { text } = await namedModel(parts, model).encode(source);
      return c.json({ prompt: text });
    }],
  });
  addPath(app, "/detokenize", {
    post: [DETOKENIZE, async (c) => {
      const { model, tokens } = parseDetokenize(await read(c));
      const content = await namedModel(parts, model).decode(tokens);
      return c.json({ content });
    }],
  });
  return app;
}
