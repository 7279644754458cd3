/** One operation of the API as a client reads of it. @module */
import type { RouteConfig } from "@hono/zod-openapi";
import { z } from "zod";
import { errorReference, headersOf, type OwnError } from "./errors.ts";
import type { Components, JsonSchema } from "./components.ts";

/** What operations are grouped by. */
export const TAGS = {
  Chat: "Answers to a chat, in OpenAI's Chat Completions API.",
  Completions: "How the model goes on from raw prompts.",
  Responses: "Answers that are kept, in OpenAI's Responses API.",
  Conversations: "Threads that clients have a name for, and their items.",
  Models: "The loaded model, and what its conversations take.",
  Tokens: "What prompts come to, in the shapes of llama.cpp's server.",
  Server: "How the server is, and what it serves besides its API.",
} as const;

/** What can be sent and what comes back. Of what holds for all operations nothing is said here. */
export interface Operation {
  /** Its name for generated clients. */
  readonly id: string;
  readonly tag: keyof typeof TAGS;
  readonly summary: string;
  readonly description?: string;
  /** What each parameter of the path is. */
  readonly path?: Readonly<Record<string, string>>;
  /** The schema that its query is checked with. */
  readonly query?: z.ZodObject;
  /** Schemas of headers that change what it does. */
  readonly headers?: Readonly<Record<string, z.ZodType>>;
  readonly body?: Body;
  /** By status. */
  readonly answers: Readonly<Record<number, Answer>>;
  readonly errors?: readonly OwnError[];
}

/** A request's body of JSON. */
export interface Body {
  /** The schema that it is checked with. */
  readonly schema: z.ZodType;
  /** One that works. */
  readonly example: unknown;
  /** Whether there may be none. */
  readonly optional?: true;
}

/** A response. */
export interface Answer {
  readonly description: string;
  /** By media type: a schema of what it carries, or in words what it is. */
  readonly content: Readonly<Record<string, z.ZodType | Events | string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A stream of events. */
export interface Events {
  /** What the data of each is, as JSON. */
  readonly event: z.ZodType;
  readonly description: string;
  /** Data that is no JSON, of the event that ends the stream. */
  readonly last?: string;
}

/** The operation for the registry, but for its path and what holds for all. */
export function toRoute(
  operation: Operation,
  components: Components,
): Omit<RouteConfig, "method" | "path"> {
  const { id, tag, summary, description, body } = operation;
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description ? { description } : {}),
    parameters: parametersOf(operation, components),
    ...(body
      ? {
        requestBody: {
          required: !body.optional,
          content: {
            "application/json": {
              schema: components.convert(body.schema),
              example: body.example,
            },
          },
        },
      }
      : {}),
    responses: responsesOf(operation, components),
  };
}

/** Of text in words, of a stream as each event is: OpenAPI 3.1 has no other way, and readers know this. */
function contentOf(
  content: z.ZodType | Events | string,
  components: Components,
): JsonSchema {
  if (content instanceof z.ZodType) return components.convert(content);
  if (typeof content === "string") {
    return { type: "string", description: content };
  }
  const { event, description, last } = content;
  const data = [
    {
      contentMediaType: "application/json",
      contentSchema: components.convert(event),
    },
    ...(last ? [{ const: last }] : []),
  ];
  return {
    type: "object",
    description,
    properties: {
      event: { type: "string" },
      data: { type: "string", anyOf: data },
    },
    required: ["data"],
  };
}

function parametersOf(
  { path = {}, query, headers = {} }: Operation,
  components: Components,
) {
  return [
    ...Object.entries(path).map(([name, description]) => ({
      name,
      in: "path" as const,
      required: true,
      description,
      schema: { type: "string" as const, minLength: 1 },
    })),
    ...Object.entries<z.ZodType>(query?.shape ?? {}).map(([name, schema]) => ({
      name,
      in: "query" as const,
      required: !schema.safeParse(undefined).success,
      // A query is text: what its schema makes of it says what may be in it.
      ...describedSchema(components.convert(schema, "output")),
    })),
    ...Object.entries(headers).map(([name, schema]) => ({
      name,
      in: "header" as const,
      required: false,
      ...describedSchema(components.convert(schema)),
    })),
  ];
}

/** Of parameters, readers show their own descriptions. */
function describedSchema({ description, ...schema }: JsonSchema) {
  return typeof description === "string" ? { description, schema } : { schema };
}

function responsesOf(
  { answers, errors = [] }: Operation,
  components: Components,
): RouteConfig["responses"] {
  const responses: RouteConfig["responses"] = {};
  for (
    const [status, { description, content, headers }] of Object.entries(answers)
  ) {
    responses[status] = {
      description,
      ...(headers ? { headers: headersOf(headers) } : {}),
      content: Object.fromEntries(
        Object.entries(content)
          .map(([type, of]) => [type, { schema: contentOf(of, components) }]),
      ),
    };
  }
  for (const status of errors) responses[status] = errorReference(status);
  return responses;
}
