/** A model whose answers go through other hands; all else of it is as it was. @module */
import type { ChatModel } from "./chat_model.ts";

/** The same model, but for how it answers. */
export function answeringBy(
  model: ChatModel,
  generate: ChatModel["generate"],
): ChatModel {
  return {
    id: model.id,
    created: model.created,
    state: () => model.state(),
    encode: (source) => model.encode(source),
    decode: (tokens) => model.decode(tokens),
    count: (request) => model.count(request),
    copy: (of) => model.copy(of),
    generate,
  };
}
