/** One operation of the API as a client reads of it. @module */
import type { RouteConfig } from "@hono/zod-openapi";
import { z } from "zod";
import { errorReference, headersOf, type OwnError } from "./errors.ts";
import {
  type Converted,
  type JsonSchema,
  toJsonSchema,
} from "./json_schema.ts";

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

/** The operation for the registry, and the named schemas that it refers to. */
export function toRoute(
  operation: Operation,
  { method, path }: Pick<RouteConfig, "method" | "path">,
): { route: RouteConfig; components: Converted["components"] } {
  const { id, tag, summary, description, body } = operation;
  const components: Record<string, JsonSchema> = {};
  const convert = (schema: z.ZodType, io?: "input" | "output") => {
    const converted = toJsonSchema(schema, io);
    Object.assign(components, converted.components);
    return converted.schema;
  };
  const route = {
    method,
    path,
    operationId: id,
    tags: [tag],
    summary,
    ...(description ? { description } : {}),
    parameters: parametersOf(operation, convert),
    ...(body
      ? {
        requestBody: {
          required: !body.optional,
          content: {
            "application/json": {
              schema: convert(body.schema),
              example: body.example,
            },
          },
        },
      }
      : {}),
    responses: responsesOf(operation, convert),
  };
  return { route, components };
}

/** Of text in words, of a stream as each event is: OpenAPI 3.1 has no other way, and readers know this. */
function contentOf(
  content: z.ZodType | Events | string,
  convert: Convert,
): JsonSchema {
  if (content instanceof z.ZodType) return convert(content);
  if (typeof content === "string") {
    return { type: "string", description: content };
  }
  const { event, description, last } = content;
  const data = [
    { contentMediaType: "application/json", contentSchema: convert(event) },
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

type Convert = (schema: z.ZodType, io?: "input" | "output") => JsonSchema;

function parametersOf(
  { path = {}, query, headers = {} }: Operation,
  convert: Convert,
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
      ...describedSchema(convert(schema, "output")),
    })),
    ...Object.entries(headers).map(([name, schema]) => ({
      name,
      in: "header" as const,
      required: false,
      ...describedSchema(convert(schema)),
    })),
  ];
}

/** Of parameters, readers show their own descriptions. */
function describedSchema({ description, ...schema }: JsonSchema) {
  return typeof description === "string" ? { description, schema } : { schema };
}

function responsesOf(
  { answers, errors = [] }: Operation,
  convert: Convert,
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
          .map(([type, of]) => [type, { schema: contentOf(of, convert) }]),
      ),
    };
  }
  for (const status of errors) responses[status] = errorReference(status);
  return responses;
}
