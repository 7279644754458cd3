import { assertEquals } from "@std/assert";
import type { GenerationEvent } from "../../lib/chat/chat_model.ts";
import { ResponseWriter } from "../../lib/openai/response.ts";
import { parseResponseRequest } from "../../lib/openai/responses_request.ts";
import { streamed } from "../worker/told_model.ts";

Deno.test("response: one that cannot be kept fails in its end's place", () => {
  const writer = new ResponseWriter({
    id: "resp_1",
    createdAt: 1,
    model: "told",
    request: parseResponseRequest({ input: "Hi" }),
  });
  const end = streamed(0).at(-1)! as Extract<GenerationEvent, { type: "end" }>;
  writer.begin({ resumed: null, branched: false });
  const events = [
    ...writer.open(),
    ...writer.add({ text: "Hello" }),
    ...writer.close(end),
  ];
  assertEquals(events.map(({ sequence_number }) => sequence_number), [
    ...events.keys(),
  ]);
  const { event, output } = writer.finish(end);
  assertEquals([event.type, event.sequence_number], [
    "response.completed",
    events.length,
  ]);
  assertEquals(output.map(({ type }) => type), ["message"]);
  const failed = writer.fail({
    message: "The disk is full",
    type: "server_error",
    param: null,
    code: null,
  });
  assertEquals([failed.event.type, failed.event.sequence_number], [
    "response.failed",
    events.length,
  ]);
  assertEquals([failed.body.status, failed.body.output], ["failed", []]);
});
