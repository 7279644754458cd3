/** Files that are part of the program, as browsers get them. @module */
import type { Handler } from "hono";

/** A file's text, and of what type it is. */
export interface TextFile {
  readonly type: "text/html" | "text/javascript" | "text/css" | "image/svg+xml";
  readonly text: string;
}

/** Answers with a file. */
export function sendFile({ type, text }: TextFile): Handler {
  return (c) =>
    c.body(text, 200, {
      "content-type": `${type}; charset=utf-8`,
      "cache-control": "no-cache",
    });
}
